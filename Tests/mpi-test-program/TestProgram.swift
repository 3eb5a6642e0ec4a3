import Glibc
import MPI

/// What a case found wrong; its sentence reaches the test through standard error.
struct CaseFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// The program under test in `MPITests` and `DistributedLinearAlgebraTests`: `mpi-test-program CASE`, one process a rank.
///
/// Each rank checks what it received and prints `ok`; the first failure is one sentence and the end of the job,
/// which is how unbraid itself ends.
@main
struct TestProgram {
  private static let cases: [String: @Sendable (borrowing Communicator) throws -> Void] = [
    "describe": describe,
    "broadcast": broadcast,
    "all-gather": allGather,
    "all-reduce": allReduce,
    "split-by-node": splitByNode,
    "message-sizes": messageSizes,
    "many-messages": manyMessages,
    "message-order": messageOrder,
    "look": look,
    "fail-beside-collective": failBesideCollective,
    "fail-beside-receive": failBesideReceive,
    "fail-with-pending-send": failWithPendingSend,
    "truncated-receive": truncatedReceive,
    "unknown-rank": unknownRank,
    "large-tag": largeTag,
    "dropped-send": droppedSend,
    "all-reduce-in-place": allReduceInPlace,
    "exact-svd": exactSVD,
    "exact-svd-deficient": exactSVDOfDeficient,
    "exact-svd-any-cut": exactSVDOfAnyCut,
    "exact-svd-graded": exactSVDOfGraded,
    "exact-svd-tiny": exactSVDOfTiny,
    "exact-svd-truncated": exactSVDTruncated,
    "exact-svd-refusals": exactSVDRefusals,
    "reference-svd": referenceSVD,
    "sleeping-job": sleepingJob,
    "stopped-job": stoppedJob,
    "late-stop": lateStop,
    "backed-up-job": backedUpJob,
    "shared-words": sharedWords,
    "no-shared-words": noSharedWords,
    "slice-sum": sliceSum,
    "stack-tucker": stackTucker,
    "stack-tolerance": stackTolerance,
    "stack-shared": stackShared,
    "stack-cp": stackCP,
    "stack-patterns": stackPatterns,
  ]

  static func main() {
    var rank = Launcher.rank ?? 0
    var size = 1
    do {
      let runtime = try Runtime()
      rank = runtime.world.rank
      size = runtime.world.size
      guard let name = CommandLine.arguments.dropFirst().first, let run = cases[name] else {
        throw CaseFailure("name one of \(cases.keys.sorted())")
      }
      try run(runtime.world)
      try runtime.finalize()
      print("ok")
    } catch {
      // One write, so that the sentences of several ranks cannot mix.
      let sentence = Array("program: rank \(rank): \(error)\n".utf8)
      _ = write(STDERR_FILENO, sentence, sentence.count)
      Runtime.abort(exitCode: 65, isAlone: size == 1)
    }
  }
}

/// Throws a sentence with both values unless they are equal.
func expectEqual<Value: Equatable>(_ found: Value, _ expected: Value, _ what: String) throws {
  guard found == expected else { throw CaseFailure("\(what): found \(found), expected \(expected)") }
}

/// Bytes that tell where they come from; neighbouring parts of them differ.
func pattern(_ count: Int, seed: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8) ^ (seed &* 101)) }
}
