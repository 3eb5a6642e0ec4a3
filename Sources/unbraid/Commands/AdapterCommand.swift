import Adapters
import ArgumentParser
import MPI
import Scheduling

/// `unbraid adapter`: a decomposition's folder in, a LoRA adapter out.
struct AdapterCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter",
    abstract: "Make an adapter of a decomposition, in seconds and without the models.",
    discussion: """
      Takes as many singular values as the rules say, changes them as the edits say, and writes what 'extract'
      writes: factors, configuration, model card and report.json. Of rules that are given together the smallest rank
      wins; a budget is spread over what they leave.

      Edits name modules by a regular expression before a colon, or mean all; values go by number, 0 the largest:
      --keep 'q_proj:0-7' --drop 'mlp:0,2-3' --scale '\\.1[0-9]\\.:0-3*0.5' --scale 0.8.

      Example:  unbraid adapter chat-triplets -o chat-50M --budget 50M
      """)

  @Argument(help: "A folder that 'unbraid decompose' has made.", completion: .directory)
  var folder: String

  @OptionGroup(title: "Rank rules") var limits: RankArguments
  @OptionGroup(title: "Edits") var edits: EditArguments
  @OptionGroup var modules: SelectionArguments
  @OptionGroup var adapter: AdapterArguments
  @OptionGroup var output: OutputArguments

  func run(on world: borrowing Communicator) throws {
    // Seconds of work: rank 0 does it all, whoever else was started.
    guard world.rank == 0 else { return }
    let adapter = try FolderAdapter(request(), version: Unbraid.version)
    let report = try adapter.write(to: OutputFolder(path: output.path))
    for note in report.notes { Messages.printNotice("note: \(note)") }
    print("\(output.path): \(report.summary)")
  }

  private func request() throws -> AdapterRequest {
    var rules = TripletRules()
    rules.limits = limits.limits
    rules.budget = limits.triplets
    rules.edit = try edits.edit()
    return AdapterRequest(
      folderPath: folder, selection: modules.selection, rules: rules, factorType: adapter.factorType,
      alpha: adapter.alpha, baseName: adapter.baseName, savesNorms: adapter.saveNorms,
      savesBias: adapter.bias)
  }
}
