import Foundation

/// Executables of this package.
public enum BuiltProduct {
  /// The path of an executable that was built together with the running tests.
  ///
  /// Built products lie beside the test bundle, which on Linux is the running program. The product is built
  /// because the test target lists it as a dependency.
  ///
  /// - Parameter name: The executable target's name.
  /// - Returns: An absolute path; whether it exists is not checked.
  public static func path(of name: String) -> String {
    let bundle = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appending(path: name).path
  }
}

/// A program that mpirun starts on several ranks of this machine.
public struct MPIProgram: Sendable {
  /// What mpirun and Open MPI need on a test machine: root accepted, more ranks than cores, loopback only.
  ///
  /// Temporary folders have a short name because Open MPI puts sockets below them, whose paths are limited.
  public static let environment = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_btl_tcp_if_include": "127.0.0.0/8",
    "OMPI_MCA_oob_tcp_if_include": "127.0.0.0/8",
    "OPENBLAS_NUM_THREADS": "1",
    "TMPDIR": "/tmp",
  ]

  /// The status mpirun ends with when the time is up.
  public static let timeoutStatus: Int32 = 110

  private let executable: String
  private let firstArguments: [String]

  /// A case of `mpi-test-program`.
  ///
  /// - Parameter name: The case's name.
  public init(_ name: String) {
    executable = BuiltProduct.path(of: "mpi-test-program")
    firstArguments = [name]
  }

  /// Any program.
  ///
  /// - Parameter executable: Its path.
  public init(executable: String) {
    self.executable = executable
    firstArguments = []
  }

  /// Runs the program under mpirun.
  ///
  /// - Parameters:
  ///   - ranks: How many, also more than there are cores.
  ///   - arguments: The program's own.
  ///   - timeoutSeconds: After that many mpirun ends the job with `timeoutStatus`.
  ///   - environment: Added to the inherited one and to `MPIProgram.environment`.
  /// - Returns: mpirun's status, and what all ranks printed.
  /// - Throws: Foundation's error if mpirun cannot be started.
  public func run(
    ranks: Int, arguments: [String] = [], timeoutSeconds: Int = 60, environment: [String: String] = [:]
  ) throws -> ProcessResult {
    let running = try start(
      ranks: ranks, arguments: arguments, timeoutSeconds: timeoutSeconds, environment: environment)
    // mpirun's own time-out comes first, since it ends the ranks too.
    return running.result(timeoutSeconds: timeoutSeconds + 10)
  }

  /// Starts the program under mpirun, whose children the ranks are.
  ///
  /// - Parameters:
  ///   - ranks: How many, also more than there are cores.
  ///   - arguments: The program's own.
  ///   - timeoutSeconds: After that many mpirun ends the job with `timeoutStatus`.
  ///   - environment: Added to the inherited one and to `MPIProgram.environment`.
  /// - Returns: The running mpirun.
  /// - Throws: Foundation's error if mpirun cannot be started.
  public func start(
    ranks: Int, arguments: [String] = [], timeoutSeconds: Int = 60, environment: [String: String] = [:]
  ) throws -> RunningProcess {
    let options = [
      "--oversubscribe", "--bind-to", "none", "--timeout", "\(timeoutSeconds)", "-n", "\(ranks)",
    ]
    // Jobs that end remove the folder that all of a user's jobs share; one that is about to use it fails.
    let own = ["OMPI_MCA_orte_tmpdir_base": try SessionFolders.next()]
    return try ProcessRunner.start(
      "mpirun", options + [executable] + firstArguments + arguments,
      environment: Self.environment.merging(own) { $1 }.merging(environment) { _, added in added })
  }

  /// Starts the program alone.
  public func startAlone(arguments: [String] = []) throws -> RunningProcess {
    try ProcessRunner.start(executable, firstArguments + arguments)
  }

  /// Runs the program alone, as a user without mpirun does.
  ///
  /// - Parameters:
  ///   - arguments: The program's own.
  ///   - timeoutSeconds: After that many it is killed.
  ///   - environment: Added to the inherited one.
  /// - Returns: The program's status, and what it printed.
  /// - Throws: Foundation's error if the program cannot be started.
  public func runAlone(
    arguments: [String] = [], timeoutSeconds: Int = 60, environment: [String: String] = [:]
  ) throws -> ProcessResult {
    try ProcessRunner.run(
      executable, firstArguments + arguments, environment: environment, timeoutSeconds: timeoutSeconds)
  }
}
