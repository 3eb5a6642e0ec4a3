internal import Checkpoints
internal import Foundation
package import MPI

extension [InputFile] {
  /// Sees that none of the files was changed since a plan was made from them.
  ///
  /// - Throws: `OutputError.inputChanged` for the first one that was, `CheckpointError` if one cannot look.
  package func checkUnchanged() throws {
    for input in self {
      guard try input.isUnchanged() else { throw OutputError.inputChanged(path: input.path) }
    }
  }

  /// Collective: sees that every host finds the files that the plan was made from; each may have copies of its own.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - notify: Called on rank 0 with what looks odd.
  /// - Throws: On rank 0, `HostError` if a host has other files.
  package func checkOnAllHosts(_ world: borrowing Communicator, notify: (String) -> Void) throws {
    let node = try world.splitByNode()
    let speaksForHost = node.rank == 0 && world.rank > 0
    try node.free()
    // Rank 0 has read them to make the plan; one rank speaks for each of the other hosts.
    let own = HostFindings(of: speaksForHost ? self : [])
    let all = try world.allGather([UInt8](JSONEncoder().encode(own)))
    guard world.rank == 0 else { return }
    for findings in try all.map({ try JSONDecoder().decode(HostFindings.self, from: Data($0)) }) {
      if let problem = findings.problems.first { throw HostError(host: findings.host, problem: problem) }
      for oddity in findings.oddities { notify("note: \(findings.host): \(oddity)") }
    }
  }
}

/// What a host finds under the paths of the plan.
private struct HostFindings: Codable {
  let host: String
  var problems: [String] = []
  var oddities: [String] = []

  init(of inputs: [InputFile]) {
    host = Runtime.processorName
    for input in inputs {
      do {
        note(input, try InputFile(path: input.path))
      } catch {
        problems.append("\(error)")
      }
    }
  }

  private mutating func note(_ input: InputFile, _ found: InputFile) {
    if found.size != input.size {
      problems.append("\(input.path): has \(found.size) bytes here and \(input.size) on rank 0's host")
    } else if found.header != input.header {
      problems.append("\(input.path): has another header than on rank 0's host")
    } else if found.modified != input.modified {
      oddities.append("\(input.path): was changed at another time than on rank 0's host; are they the same?")
    }
  }
}

/// Why hosts cannot work on one job.
public struct HostError: Error, CustomStringConvertible, Equatable, Sendable {
  let host: String
  let problem: String

  /// One sentence with the host, the file and the remedy.
  public var description: String {
    "\(host): \(problem); all hosts must find the same models under the same paths"
  }
}
