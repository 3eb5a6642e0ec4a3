import CMPI
import Glibc

/// MPI from its initialisation to its end; a process makes one.
///
/// All calls into this module are made on the thread that made the runtime, the main thread: MPI runs as
/// `MPI_THREAD_FUNNELED`, and debug builds check it at each call. A runtime that goes out of scope does *not*
/// end MPI: finalising waits for every other rank, so a rank on its way out with an error would hang the job.
public struct Runtime: ~Copyable {
  /// Every rank of the job.
  public let world: Communicator

  /// Initialises MPI, with errors returned as codes instead of ending the job.
  ///
  /// Without a launcher the job is this one process. No daemon is forked for it, so mpirun need not be in
  /// `PATH`, and root is accepted; `OMPI_MCA_ess_singleton_isolated` in the environment overrides that. On one
  /// machine messages go through shared memory (`ob1`), unless `OMPI_MCA_pml` says otherwise.
  ///
  /// - Throws: An `MPIError` if MPI fails to start or offers no `MPI_THREAD_FUNNELED`.
  public init() throws(MPIError) {
    if !Launcher.isPresent {
      setenv("OMPI_MCA_ess_singleton_isolated", "1", 0)
      // It needs none, and one that ends removes the folder from under another that begins.
      setenv("OMPI_MCA_orte_create_session_dirs", "0", 0)
    }
    // Looking for network hardware that one machine has no use for takes a fifth of a second of every start.
    if Launcher.isOnOneMachine { setenv("OMPI_MCA_pml", "ob1", 0) }
    var level: Int32 = 0
    let code = MPI_Init_thread(nil, nil, cmpi_thread_funneled(), &level)
    guard code == cmpi_success() else {
      throw MPIError(function: "MPI_Init_thread", code: code, label: nil)
    }
    guard level >= cmpi_thread_funneled() else {
      throw MPIError(
        function: "MPI_Init_thread", code: code,
        text: "thread level \(level) provided, \(cmpi_thread_funneled()) (MPI_THREAD_FUNNELED) needed",
        label: nil)
    }
    // Before any other call: until then an error ends the job with MPI's sentence instead of ours.
    let itself = CommunicatorLabel(name: "self", size: 1)
    for handle in [cmpi_comm_self(), cmpi_comm_world()] {
      try itself.check("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(handle, cmpi_errors_return()))
    }
    world = try Communicator(
      borrowing: cmpi_comm_world(), name: "world", partByteCount: MessageCount.defaultPartByteCount)
  }

  /// Collective: ends MPI after success, once every rank has come this far.
  ///
  /// Sends that were dropped before they were done trap here: their messages may be lost.
  ///
  /// - Throws: An `MPIError` if MPI fails to end.
  public consuming func finalize() throws(MPIError) {
    let abandonedCount = PendingSend.abandonedCount
    if abandonedCount > 0 {
      fatalError("\(abandonedCount) pending sends were dropped before they were done; keep them in an Outbox")
    }
    try world.label.check("MPI_Finalize", MPI_Finalize())
  }

  /// Ends every rank of the job at once with this exit code.
  ///
  /// What was printed is flushed. A job of one rank ends quietly, without MPI's report of an abort. Safe before
  /// MPI is initialised and after it is finalised: then only this process exits, and a launcher does the rest.
  ///
  /// - Parameters:
  ///   - exitCode: What the process and mpirun return.
  ///   - isAlone: Whether the job has this one rank only.
  public static func abort(exitCode: Int32, isAlone: Bool) -> Never {
    fflush(nil)
    if isActive {
      if isAlone { MPI_Finalize() } else { MPI_Abort(cmpi_comm_world(), exitCode) }
    }
    exit(exitCode)
  }

  /// The name of the machine this rank runs on, as MPI gives it; needs a runtime.
  public static var processorName: String {
    precondition(isActive, "processorName needs an initialised MPI")
    var characters = [CChar](repeating: 0, count: Int(cmpi_max_processor_name()))
    var length: Int32 = 0
    // Open MPI copies a name it found at start-up; the call has no way to fail.
    MPI_Get_processor_name(&characters, &length)
    return String(decoding: characters.prefix(Int(length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Whether the calling thread is the one that initialised MPI.
  static var isOnMainThread: Bool {
    var flag: Int32 = 0
    return MPI_Is_thread_main(&flag) == cmpi_success() && flag != 0
  }

  private static var isActive: Bool {
    var initialized: Int32 = 0
    var finalized: Int32 = 0
    MPI_Initialized(&initialized)
    MPI_Finalized(&finalized)
    return initialized != 0 && finalized == 0
  }
}
