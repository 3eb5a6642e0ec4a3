import ArgumentParser
import Foundation
import LinearAlgebra
import MPI

/// A measurement over all ranks of a launcher.
protocol DistributedBenchmark: ParsableCommand {
  /// Collective: measures, and prints on rank 0.
  func measure(_ world: borrowing Communicator) throws
}

extension DistributedBenchmark {
  func run() throws {
    BLASLibrary.useThreads(1)
    var isAlone = true
    do {
      let runtime = try Runtime()
      isAlone = runtime.world.size == 1
      try measure(runtime.world)
      try runtime.finalize()
    } catch {
      FileHandle.standardError.write(Data("unbraid-bench: \(error)\n".utf8))
      Runtime.abort(exitCode: 70, isAlone: isAlone)
    }
  }
}
