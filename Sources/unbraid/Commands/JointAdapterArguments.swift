import Adapters
import ArgumentParser
import Scheduling

/// The options of `adapter` that only the folder of a joint decomposition has a use for, as typed.
struct JointAdapterArguments: ParsableArguments {
  @Option(help: "Write only this group; may be repeated.")
  var group: [String] = []

  @Flag(help: "Write the decomposition minus what would be written without this.")
  var complement = false

  @Option(
    help: "Which fine-tuned model, by its path, the end of it, or its number from 0, if there are several.")
  var tuned: String?

  @Option(help: "Where the base model is now; its headers are read.", completion: .directory)
  var base: String?

  /// Which of them were given.
  var given: [String] {
    namesGiven([
      ("--group", !group.isEmpty), ("--complement", complement), ("--tuned", tuned != nil),
      ("--base", base != nil),
    ])
  }

  /// Makes the adapter; `prepare` gets the folder that it is to be in, and the base model's path.
  func run(
    _ folder: String, rank: Int?, _ edits: EditArguments, _ shared: AdapterArguments, output: String,
    prepare: (OutputFolder, String) -> Void
  ) throws {
    var edit = ComponentEdit()
    (edit.keep, edit.drop, edit.scale, edit.groups) = (edits.keep, edits.drop, edits.scale, group)
    edit.layers = edits.layers.flatMap { TripletNumbers($0) }
    edit.takesComplement = complement
    var request = JointAdapter.Request(folder: folder, edit: edit, factorType: shared.factorType ?? .f32)
    (request.basePath, request.baseName, request.tuned, request.rank) = (base, shared.baseName, tuned, rank)
    let adapter = try JointAdapter(request)
    for note in adapter.notes { Messages.printNotice("note: \(note)") }
    let made = try OutputFolder(path: output)
    prepare(made, adapter.basePath)
    let report = try adapter.write(into: made, version: Unbraid.version)
    print("\(output): \(report.summary)")
  }
}
