import Adapters
public import ArgumentParser
import Foundation
import Scheduling

/// What else may be made of an adapter before its folder appears, as typed.
struct ConsumerArguments: ParsableArguments {
  @Option(
    name: .customLong("for"),
    help: "Write it for one who loads it: peft, vllm, llama.cpp, mlx or all, as 'unbraid export' does.")
  var profile: ConsumerProfile?

  /// Refuses what could not be written in the end.
  ///
  /// - Parameters:
  ///   - basePath: The base model's folder or file.
  ///   - largestRank: The largest rank that a module may have.
  /// - Throws: `ProfileError`, or what is wrong with the model's configuration.
  func check(basePath: String, largestRank: Int) throws {
    guard let profile else { return }
    try ProfileExport.check(
      profile, model: try consumerModel(at: basePath, adapter: "the adapter", for: profile),
      largestRank: largestRank)
  }

  /// Has a folder's contents written for the consumer before they appear.
  ///
  /// - Parameters:
  ///   - folder: To be filled with an adapter in PEFT's format.
  ///   - basePath: The base model's folder or file.
  ///   - factorType: The type of the written factors, if one was asked for.
  ///   - projection: Whose directions to take out, if any.
  func prepare(
    _ folder: OutputFolder, basePath: String, factorType: FactorType?, projection: ProjectionArguments? = nil
  ) {
    guard profile != nil || projection?.other != nil else { return }
    let profile = profile ?? .peft
    folder.finishing = { folder in
      try folder.remakeContents { old, new in
        let adapter = try PEFTAdapter.open(old)
        let (source, notes) = try adapterSource(adapter, projection)
        let export = ProfileExport(
          source, for: profile, model: try consumerModel(at: basePath, adapter: folder.path, for: profile),
          factorType: factorType)
        for note in try notes + export.write(to: new) { Messages.printNotice("note: \(note)") }
        if !notes.isEmpty {
          Messages.printNotice("note: the errors in report.json and the card are those before --project-out")
        }
        // The card tells how PEFT loads the folder.
        for file in profile.hasPEFTFiles ? ["README.md", "report.json"] : ["report.json"]
        where FileManager.default.fileExists(atPath: old + "/" + file) {
          try FileManager.default.moveItem(atPath: old + "/" + file, toPath: new + "/" + file)
        }
      }
    }
  }
}

/// Whose directions are taken out of an adapter, as typed.
struct ProjectionArguments: ParsableArguments {
  @Option(
    name: .customLong("project-out"),
    help: ArgumentHelp(
      "Take out what another adapter or decomposition holds: its folder.",
      discussion: """
        With P and Q the orthogonal projections onto what B's update of a module writes to and reads from, A's update
        D becomes (I - P) D (I - Q): none of B's directions is written to or read from any more, to the rounding of
        the factors, which are written in f32 unless told otherwise. Modules that B does not change stay as they are.
        """), completion: .directory)
  var other: String?

  @Option(name: .customLong("project-side"), help: "On which side: out takes P alone, in takes Q alone.")
  var side = ProjectionSide.both
}

/// An adapter's updates, without those of another one if that was asked for, and what to say about it.
func adapterSource(
  _ adapter: PEFTAdapter, _ projection: ProjectionArguments?
) throws -> (source: any UpdateSource, notes: [String]) {
  let source = try PEFTUpdateSource(adapter)
  guard let projection, let other = projection.other else { return (source, []) }
  let change = try Projection(
    removing: try openUpdates(other), from: try openUpdates(adapter.path), on: projection.side)
  return (
    ProjectedSource(source, change),
    ["--project-out changes \(change.affected.count) of \(adapter.modules.count) modules"]
  )
}

/// Facts of a base model; nil if they are not there and the profile can do without.
func consumerModel(
  at path: String?, adapter: String, for profile: ConsumerProfile
) throws -> ConsumerModel? {
  if let path, let model = try ConsumerModel.read(modelPath: path) { return model }
  guard !profile.needsModel else { throw ProfileError.noModel(adapter: adapter, named: path) }
  return nil
}

extension ConsumerProfile: ExpressibleByArgument {}
extension ProjectionSide: ExpressibleByArgument {}
