import Adapters
import ArgumentParser
import Foundation
import MPI
import Scheduling

/// The options of `adapter` for the folder of a joint decomposition, as typed.
struct JointAdapterArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Components to keep, such as q_proj:0,2-4,v_proj:1; may be repeated.",
      discussion: "Nothing is kept of groups that are not named; a group's name alone keeps all of it."))
  var keep: [String] = []

  @Option(help: "Components to leave out, likewise; may be repeated.")
  var drop: [String] = []

  @Option(help: "Components and what to multiply them by, such as q_proj:3=0.5; may be repeated.")
  var scale: [String] = []

  @Option(help: "Write only this group; may be repeated.")
  var group: [String] = []

  @Option(help: "Write only these layers, such as 0-3,7.")
  var layers: String?

  @Flag(help: "Write the decomposition minus what would be written without this.")
  var complement = false

  @Option(
    help: "Which fine-tuned model, by its path, the end of it, or its number from 0, if there are several.")
  var tuned: String?

  @Option(
    parsing: .unconditional,
    help: "Largest rank of each module's factors (default: exactly what is left of the decomposition).")
  var rank: Int?

  @Option(name: .customLong("factor-dtype"), help: "Type of the written factors.")
  var factorType: FactorType = .f32

  @Option(help: "Where the base model is now; its headers are read.", completion: .directory)
  var base: String?

  @Option(help: "What the adapter calls its base model, such as a hub name (default: its full path).")
  var baseName: String?

  func validate() throws {
    if let rank, rank < 1 { throw ValidationError("--rank is \(rank); give a number of 1 or more") }
    if let layers, TripletNumbers(layers) == nil || layers == "none" {
      throw ValidationError("--layers is '\(layers)'; give numbers and ranges, such as 0-3,7")
    }
  }

  /// Makes the adapter on rank 0; the others have nothing to do.
  func run(_ folder: String, output: String, on world: borrowing Communicator) throws {
    guard world.rank == 0 else { return }
    let adapter = try JointAdapter(request(folder))
    for note in adapter.notes { Messages.printNotice("note: \(note)") }
    let report = try adapter.write(into: OutputFolder(path: output), version: Unbraid.version)
    print("\(output): \(report.summary)")
  }

  private func request(_ folder: String) -> JointAdapter.Request {
    var edit = ComponentEdit()
    (edit.keep, edit.drop, edit.scale, edit.groups) = (keep, drop, scale, group)
    edit.layers = layers.flatMap(TripletNumbers.init)
    edit.takesComplement = complement
    var request = JointAdapter.Request(folder: folder, edit: edit, factorType: factorType)
    (request.basePath, request.baseName, request.tuned, request.rank) = (base, baseName, tuned, rank)
    return request
  }
}
