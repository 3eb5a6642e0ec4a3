import Adapters
import ArgumentParser
import MPI
import Scheduling

/// `unbraid adapter`: a decomposition's folder in, a LoRA adapter out.
struct AdapterCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter",
    abstract: "Make an adapter of a decomposition, in seconds and without the models' weights.",
    discussion: """
      Takes as many singular values as the rules say, changes them as the edits say, and writes what 'extract'
      writes: factors, configuration, model card and report.json. Of rules that are given together the smallest rank
      wins; a budget is spread over what they leave.

      Edits go by number, 0 the largest value, after a regular expression for modules' paths and a colon, if they are
      not for all: --keep 'q_proj:0-7' --drop 'mlp:0,2-3' --scale 'v_proj:0-3=0.5' --scale 0.8.

      Of a joint decomposition edits name components, such as q_proj:0,2-4; 'unbraid components' lists what there is.

      Example:  unbraid adapter chat-triplets -o chat-50M --budget 50M
      Example:  unbraid adapter chat-cp -o without-two --drop q_proj:2,v_proj:0-1
      """)

  @Argument(help: "A folder that 'unbraid decompose' or 'unbraid joint' has made.", completion: .directory)
  var folder: String

  @OptionGroup(title: "Rank rules") var limits: RankArguments
  @OptionGroup(title: "Edits") var edits: EditArguments
  @OptionGroup(title: "Joint decompositions") var joint: JointAdapterArguments
  @OptionGroup var modules: SelectionArguments
  @OptionGroup var adapter: AdapterArguments
  @OptionGroup(title: "Consumers") var consumer: ConsumerArguments
  @OptionGroup(title: "Other adapters") var projection: ProjectionArguments
  @OptionGroup var output: OutputArguments

  func run(on world: borrowing Communicator) throws {
    // Seconds of work: rank 0 does it all, whoever else was started.
    guard world.rank == 0 else { return }
    if try DecompositionFolder.format(of: folder) == JointRecord.currentFormat {
      try refuse(
        limits.givenBesidesRank + edits.givenForValues + modules.given + adapter.givenForTriplets,
        of: "decompositions module by module")
      try joint.run(folder, rank: limits.rank, edits, adapter, output: output.path) { output, basePath in
        consumer.prepare(
          output, basePath: basePath, factorType: adapter.factorType, projection: projection)
      }
    } else {
      try refuse(joint.given, of: "joint decompositions")
      let maker = try FolderAdapter(request(), version: Unbraid.version)
      let made = try OutputFolder(path: output.path)
      consumer.prepare(
        made, basePath: maker.basePath, factorType: adapter.factorType, projection: projection)
      let report = try maker.write(to: made)
      for note in report.notes { Messages.printNotice("note: \(note)") }
      print("\(output.path): \(report.summary)")
    }
  }

  private func request() throws -> AdapterRequest {
    AdapterRequest(
      folderPath: folder, selection: modules.selection, rules: try limits.rules(with: edits),
      factorType: adapter.factorType,
      alpha: adapter.alpha, baseName: adapter.baseName, savesNorms: adapter.saveNorms,
      savesBias: adapter.bias)
  }

  private func refuse(_ options: [String], of kind: String) throws {
    if let option = options.first { throw MisplacedOption(option: option, folder: folder, kind: kind) }
  }
}

/// An option that says nothing of this kind of folder.
struct MisplacedOption: ExitCoded, CustomStringConvertible {
  let option: String
  let folder: String
  let kind: String

  var exitCode: Scheduling.ExitCode { .usage }
  var description: String { "\(folder): \(option) is for \(kind), and this is none; leave it out" }
}

/// The names of options that were given.
func namesGiven(_ options: [(name: String, isGiven: Bool)]) -> [String] {
  options.filter(\.isGiven).map(\.name)
}
