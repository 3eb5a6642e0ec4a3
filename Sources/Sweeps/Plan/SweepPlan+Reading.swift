internal import Adapters
internal import Foundation
internal import LinearAlgebra
internal import Scheduling
internal import WeightSources

extension SweepPlan {
  /// Reads a plan file; paths in it are relative to its folder.
  ///
  /// - Parameter path: The file.
  /// - Throws: `SweepPlanError` with the line and the key of whatever is wrong.
  public init(path: String) throws(SweepPlanError) {
    let root = try PlanNode(file: path)
    let members = try root.members(Key.all)
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    guard let pairs = members[Key.pairs], let output = members[Key.output] else {
      throw root.error(
        "a plan needs 'pairs' and 'output'; the first that is missing is "
          + (members[Key.pairs] == nil ? "'pairs'" : "'output'"))
    }
    self.path = path
    outputPath = try output.path(in: folder)
    self.pairs = try read(uniquelyNamed: pairs) { node, members, name throws(SweepPlanError) in
      try pair(node, members, name: name, in: folder)
    }
    ranks = try members[Key.ranks].map(readRanks) ?? [.number(32)]
    tolerances = try members[Key.tolerances].map(readTolerances) ?? [1e-3]
    filters =
      try members[Key.filters].map { list throws(SweepPlanError) in
        try read(uniquelyNamed: list, keys: FilterKey.all, readFilter)
      } ?? [Filter(name: "linear", selection: .init())]
    edits =
      try members[Key.edits].map { list throws(SweepPlanError) in
        try read(uniquelyNamed: list, keys: EditKey.all, readEdit)
      } ?? [Edit(name: "all", edit: TripletEdit())]
    named = Set(
      [(Key.tolerances, Axis.tolerances), (Key.filters, .filters), (Key.edits, .edits)]
        .filter { members[$0.0] != nil }.map(\.1))
    options = try readOptions(members)
    evaluation = try members[Key.evaluate].map(readEvaluation)
    if let node = members[Key.search] {
      search = try readSearch(
        node, pairs: self.pairs, ranks: ranks, filters: filters, evaluation: evaluation)
    } else {
      search = nil
    }
    try refuseEqualNames(in: root)
    if let edits = members[Key.edits] { try refuseBeyondRank(edits) }
  }

  /// Names are joined by dashes, which they may hold themselves.
  private func refuseEqualNames(in root: PlanNode) throws(SweepPlanError) {
    var seen: Set<String> = []
    for name in experiments.map(\.name) where !seen.insert(name).inserted {
      throw root.error("two experiments are called '\(name)'; rename a pair, a filter or an edit")
    }
  }

  private func refuseBeyondRank(_ list: PlanNode) throws(SweepPlanError) {
    let numbers = ranks.compactMap { if case .number(let number) = $0 { number } else { nil } }
    guard let least = numbers.min() else { return }
    for (edit, node) in zip(edits, try list.elements()) {
      for key in [EditKey.keep, EditKey.drop] {
        for (_, member) in try node.members(EditKey.all)[key]?.members().sorted(by: { $0.key < $1.key }) ?? []
        {
          guard let largest = try readNumbers(member).largestNamed, largest >= least else { continue }
          throw member.error(
            "of edit '\(edit.name)' names singular value \(largest), but rank \(least) has 0 to \(least - 1); "
              + "name fewer or raise the rank")
        }
      }
    }
  }
}

private enum Key {
  static let (output, pairs, ranks, tolerances) = ("output", "pairs", "ranks", "tolerances")
  static let (filters, edits, evaluate, search) = ("filters", "edits", "evaluate", "search")
  static let (seed, method, factorType) = ("seed", "method", "factor-dtype")
  static let (mixedTypes, saveNorms, bias) = ("mixed-dtypes", "save-norms", "bias")
  static let all = [
    output, pairs, ranks, tolerances, filters, edits, seed, method, factorType, mixedTypes, saveNorms, bias,
    evaluate, search,
  ]
}

private enum PairKey {
  static let (base, tuned, baseName) = ("base", "tuned", "base-name")
  static let all = ["name", base, tuned, baseName]
}

private enum FilterKey {
  static let (targets, include, exclude) = ("targets", "include", "exclude")
  static let (embeddings, head) = ("embeddings", "head")
  static let all = ["name", targets, include, exclude, embeddings, head]
}

private enum EditKey {
  static let (keep, drop) = ("keep", "drop")
  static let all = ["name", keep, drop]
}

/// Reads a list of mappings, each with a name of its own.
private func read<Value>(
  uniquelyNamed list: PlanNode, keys: [String] = PairKey.all,
  _ body: (PlanNode, [String: PlanNode], String) throws(SweepPlanError) -> Value
) throws(SweepPlanError) -> [Value] {
  var names: Set<String> = []
  var values: [Value] = []
  for node in try list.elements() {
    let members = try node.members(keys)
    guard let nameNode = members["name"] else { throw node.error("has no name; give it 'name: ...'") }
    let name = try nameNode.name()
    guard names.insert(name).inserted else {
      throw nameNode.error("is '\(name)', which is taken; give each a name of its own")
    }
    values.append(try body(node, members, name))
  }
  return values
}

private func pair(_ node: PlanNode, _ members: [String: PlanNode], name: String, in folder: URL)
  throws(SweepPlanError) -> SweepPlan.Pair
{
  guard let base = members[PairKey.base], let tuned = members[PairKey.tuned] else {
    throw node.error("needs 'base' and 'tuned', the two models")
  }
  let basePath = try base.path(in: folder)
  return SweepPlan.Pair(
    name: name, basePath: basePath, tunedPath: try tuned.path(in: folder),
    baseName: try members[PairKey.baseName]?.text() ?? basePath)
}

private func readRanks(_ list: PlanNode) throws(SweepPlanError) -> [ExtractionRequest.RankRule] {
  var ranks: [ExtractionRequest.RankRule] = []
  for node in try list.elementsOrOne() {
    let rank = try readRank(node)
    guard !ranks.contains(rank) else { throw node.error("stands twice; keep one") }
    ranks.append(rank)
  }
  return ranks
}

private func readRank(_ node: PlanNode) throws(SweepPlanError) -> ExtractionRequest.RankRule {
  let number = try node.number(
    { $0 > 0 && ($0 < 1 || $0 == $0.rounded()) && $0 < 1e6 },
    "a whole number of 1 or more, or a fraction of the shorter side between 0 and 1")
  return number < 1 ? .fraction(number) : .number(Int(number))
}

private func readTolerances(_ list: PlanNode) throws(SweepPlanError) -> [Double] {
  var tolerances: [Double] = []
  for node in try list.elementsOrOne() {
    let tolerance = try node.number({ $0 > 0 && $0 < 1 }, "a number between 0 and 1, such as 1e-3")
    guard !tolerances.contains(tolerance) else { throw node.error("stands twice; keep one") }
    tolerances.append(tolerance)
  }
  return tolerances
}

private func readFilter(_ node: PlanNode, _ members: [String: PlanNode], name: String) throws(SweepPlanError)
  -> SweepPlan.Filter
{
  var selection = ModuleSelection.Options()
  selection.targets = try texts(members[FilterKey.targets]).flatMap {
    $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
  }
  selection.include = try texts(members[FilterKey.include])
  selection.exclude = try texts(members[FilterKey.exclude])
  selection.takesEmbeddings = try members[FilterKey.embeddings]?.flag() ?? false
  selection.takesHead = try members[FilterKey.head]?.flag() ?? false
  return SweepPlan.Filter(name: name, selection: selection)
}

private func texts(_ node: PlanNode?) throws(SweepPlanError) -> [String] {
  var texts: [String] = []
  for element in try node?.elementsOrOne() ?? [] { texts.append(try element.text()) }
  return texts
}

private func readEdit(_ node: PlanNode, _ members: [String: PlanNode], name: String) throws(SweepPlanError)
  -> SweepPlan.Edit
{
  var edit = TripletEdit()
  for (type, numbers) in try members[EditKey.keep]?.members() ?? [:] {
    edit.keep[type] = try readNumbers(numbers)
  }
  for (type, numbers) in try members[EditKey.drop]?.members() ?? [:] {
    edit.drop[type] = try readNumbers(numbers)
  }
  return SweepPlan.Edit(name: name, edit: edit)
}

private func readNumbers(_ node: PlanNode) throws(SweepPlanError) -> TripletNumbers {
  var texts: [String] = []
  for element in try node.elementsOrOne() { texts.append(try element.text()) }
  guard let numbers = TripletNumbers(texts.joined(separator: ",")) else {
    throw node.error(
      "is '\(texts.joined(separator: ","))'; give numbers of singular values, 0 the largest, such as \"0-3,7\" "
        + "or \"8-\" for all from there on, or 'all' or 'none'")
  }
  return numbers
}

private func readOptions(_ members: [String: PlanNode]) throws(SweepPlanError) -> SweepPlan.Options {
  var options = SweepPlan.Options()
  if let node = members[Key.seed] { options.seed = try node.seed() }
  if let node = members[Key.method] { options.method = try node.choice(DecompositionMethod.self) }
  if let node = members[Key.factorType] { options.factorType = try node.choice(FactorType.self) }
  if let node = members[Key.mixedTypes] { options.acceptsMixedTypes = try node.flag() }
  if let node = members[Key.saveNorms] { options.savesNorms = try node.flag() }
  if let node = members[Key.bias] { options.savesBias = try node.flag() }
  return options
}

private func readEvaluation(_ node: PlanNode) throws(SweepPlanError) -> SweepPlan.Evaluation {
  let members = try node.members(["command", "timeout", "per-host"])
  guard let command = members["command"] else { throw node.error("needs 'command', a line for the shell") }
  return SweepPlan.Evaluation(
    command: try command.text(),
    timeoutSeconds: try members["timeout"]?.number({ $0 > 0 }, "a number of seconds above 0"),
    countPerHost: try members["per-host"]?.integer(atLeast: 1, or: 1) ?? 1)
}

private func readSearch(
  _ node: PlanNode, pairs: [SweepPlan.Pair], ranks: [ExtractionRequest.RankRule], filters: [SweepPlan.Filter],
  evaluation: SweepPlan.Evaluation?
) throws(SweepPlanError) -> SweepPlan.Search {
  let members = try node.members([
    "metric", "goal", "budget", "seed", "pair", "rank", "filter", "block", "keep-adapters",
  ])
  guard evaluation != nil else { throw node.error("needs 'evaluate', the command that finds its metric") }
  guard let metric = members["metric"], let budget = members["budget"] else {
    throw node.error(
      "needs 'metric', a number of the evaluation's JSON, and 'budget', a number of evaluations")
  }
  func known(_ key: String, among names: [String]) throws(SweepPlanError) -> String {
    guard let node = members[key] else { return names[0] }
    let name = try node.text()
    guard names.contains(name) else {
      throw node.error(
        "is '\(name)', which the plan does not have; here are \(names.joined(separator: ", "))")
    }
    return name
  }
  let rank = try members["rank"].map(readRank) ?? ranks.max { isLess($0, $1) } ?? ranks[0]
  if let node = members["rank"], !ranks.contains(rank) {
    throw node.error("is not among 'ranks'; add it there, so that the decomposition reaches it")
  }
  return SweepPlan.Search(
    metric: try metric.text(), goal: try members["goal"]?.choice(SweepPlan.Search.Goal.self) ?? .maximise,
    budget: try budget.integer(atLeast: 1, or: 100), seed: try members["seed"]?.seed() ?? 0,
    pair: try known("pair", among: pairs.map(\.name)), rank: rank,
    filter: try known("filter", among: filters.map(\.name)),
    blockLength: try members["block"]?.integer(atLeast: 1, or: 4),
    keepsAdapters: try members["keep-adapters"]?.flag() ?? false)
}

/// Fractions before numbers: which is larger depends on the model.
private func isLess(_ one: ExtractionRequest.RankRule, _ other: ExtractionRequest.RankRule) -> Bool {
  switch (one, other) {
  case (.number(let one), .number(let other)): one < other
  case (.fraction(let one), .fraction(let other)): one < other
  case (.fraction, .number): true
  case (.number, .fraction): false
  }
}

extension PlanNode {
  /// An absolute path, from one that may be relative to a folder.
  fileprivate func path(in folder: URL) throws(SweepPlanError) -> String {
    URL(fileURLWithPath: try text(), relativeTo: folder).standardizedFileURL.path
  }
}
