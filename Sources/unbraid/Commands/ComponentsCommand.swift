import Adapters
import ArgumentParser
import Foundation
import MPI
import Scheduling

/// `unbraid components`: what a joint decomposition consists of.
struct ComponentsCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "components",
    abstract: "List the components of a joint decomposition.",
    discussion: """
      A component of tucker is a direction of the outputs or of the inputs, and of shared one of the side that has a
      basis; its energy is what the decomposition has along it. Cutting by outputs and cutting by inputs are two ways
      to cut the same whole. A component of cp is one rank-one matrix with a profile over the layers; energies of
      components that overlap add up to more or less than the whole.

      energy is the part of the group's whole difference, gap how far the next singular value is below, layers those
      with four fifths of a component's energy. Components that cannot be told apart are one row: directions that an
      error of the size of what was left out would turn into each other by more than a tenth of a radian, and
      components of cp that agree (|cosine| of 0.99 and more) in all modes but two. --json has every component.

      Example:  unbraid components chat-tucker --group q_proj --top 10
      """)

  @Argument(help: "The folder of a joint decomposition.", completion: .directory)
  var folder: String

  @Option(help: "Only this group; may be repeated.")
  var group: [String] = []

  @Option(parsing: .unconditional, help: "Only so many rows of each table.")
  var top: Int?

  @Flag(help: "Print JSON instead of tables.")
  var json = false

  func validate() throws {
    if let top, top < 1 { throw ValidationError("--top is \(top); give a number of 1 or more") }
  }

  func run(on world: borrowing Communicator) throws {
    guard world.rank == 0 else { return }
    let opened = try JointFolder(path: folder)
    let listings = try opened.listings(groups: group)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(Listing(opened.record, listings)), as: UTF8.self))
    } else {
      for listing in listings {
        print(ComponentTable(listing, tuned: opened.record.tuned, limit: top).text + "\n")
      }
      for note in opened.record.notes { Messages.printNotice("note: \(note)") }
    }
  }

  /// What `--json` prints.
  private struct Listing: Encodable {
    let method: JointMethod
    let base: String
    let tuned: [String]
    let groups: [ComponentListing]
    let notes: [String]

    init(_ record: JointRecord, _ groups: [ComponentListing]) {
      method = record.method
      base = record.base
      tuned = record.tuned
      notes = record.notes
      self.groups = groups
    }
  }
}
