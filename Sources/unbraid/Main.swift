import ArgumentParser
import Glibc
import LinearAlgebra
import MPI
import Scheduling

/// The program, from the command line to the exit code.
///
/// Synchronous to the bottom: after a first `await` the code would leave the main thread for good, and MPI is
/// initialised for calls from that thread alone.
@main
enum Program {
  static func main() {
    do {
      var command = try Unbraid.parseAsRoot()
      if let job = command as? any JobCommand {
        runJob(job)
      } else {
        try command.run()
      }
    } catch {
      endWithUsage(error)
    }
  }

  /// Runs a command on every rank; whatever goes wrong on any of them ends them all.
  private static func runJob(_ job: some JobCommand) {
    BLASLibrary.useThreads(1)
    var place = Messages.Place(rank: Launcher.rank ?? 0, rankCount: 1)
    do {
      if job.carriesOn {
        let isFirst = Launcher.rank ?? 0 == 0
        StopSignals.catchAll(isAlone: !Launcher.isPresent) { stop in
          if isFirst { Messages.printNotice(stop.description) }
        }
      }
      let runtime = try Runtime()
      place = Messages.Place(rank: runtime.world.rank, rankCount: runtime.world.size)
      do {
        try job.run(on: runtime.world)
      } catch let stop as JobStopped {
        endResumable(stop, runtime)
      }
      try runtime.finalize()
    } catch {
      let failure = JobFailure(error, mpiRank: place.rank)
      Messages.printError(failure.description, at: Messages.Place(failure, rankCount: place.rankCount))
      Runtime.abort(exitCode: failure.exitCode.rawValue, isAlone: place.rankCount == 1)
    }
  }

  /// Ends this rank after a signal, together with all others: a launcher kills the rest with the first that ends.
  private static func endResumable(_ stop: JobStopped, _ runtime: consuming Runtime) -> Never {
    stop.boundEnd()
    if runtime.world.rank == 0 { Messages.printNotice(stop.description) }
    try? runtime.finalize()
    fflush(nil)
    // At once: a unit that was dropped may still be computed by another thread.
    _exit(ExitCode.resumable.rawValue)
  }

  /// Ends before MPI starts: help and version on standard output, a wrong command line on standard error.
  private static func endWithUsage(_ error: any Error) -> Never {
    let status = Unbraid.exitCode(for: error)
    // Every rank parses the same words; one of them is enough to complain. The others stay until it has: the
    // launcher ends the job with the first rank that fails.
    if Launcher.rank ?? 0 != 0 { sleep(2) }
    if Launcher.rank ?? 0 == 0 {
      if status.isSuccess {
        print(Unbraid.fullMessage(for: error))
      } else {
        Messages.write(Unbraid.fullMessage(for: error) + "\n")
      }
    }
    Runtime.abort(exitCode: status.rawValue, isAlone: true)
  }
}

/// A command that runs on every rank of a job.
protocol JobCommand: ParsableCommand {
  /// Collective: does the command's work.
  func run(on world: borrowing Communicator) throws
  /// Whether a command that was stopped by a signal carries on when it is started again.
  var carriesOn: Bool { get }
}

extension JobCommand {
  var carriesOn: Bool { false }

  mutating func run() throws {
    preconditionFailure("job commands run with a communicator")
  }
}

/// The command with its subcommands.
struct Unbraid: ParsableCommand {
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "unbraid",
    abstract: "Takes fine-tuned language models apart.",
    discussion: """
      A fine-tune is a base model plus a difference. unbraid decomposes the difference, module by module and over
      as many machines as there are, and writes what is wanted of it.

      On one machine:  mpirun -n 4 unbraid extract BASE TUNED -o adapter --rank 32
      On several:      mpirun -n 16 --hostfile hostfiles/lab unbraid extract BASE TUNED -o adapter --rank 32
      """,
    version: version,
    groupedSubcommands: [
      CommandGroup(
        name: "Decomposition",
        subcommands: [
          PlanCommand.self,
          ExtractCommand.self,
          DecomposeCommand.self,
          JointCommand.self,
          SweepCommand.self,
          ScanCommand.self,
        ]),
      CommandGroup(
        name: "Result",
        subcommands: [
          ComponentsCommand.self,
          AdapterCommand.self,
          ExportCommand.self,
          MergeCommand.self,
          ResizeCommand.self,
          GraftCommand.self,
          InitCommand.self,
          ConvertCommand.self,
        ]),
      CommandGroup(
        name: "Comparison",
        subcommands: [
          CompareCommand.self,
          OverlapCommand.self,
          VerifyCommand.self,
        ]),
    ])
}
