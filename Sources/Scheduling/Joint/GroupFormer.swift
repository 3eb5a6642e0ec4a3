internal import WeightSources

/// Sorts modules into groups of one shape each, and says what is left out.
struct GroupFormer {
  /// The selected tensors of each fine-tuned model by module.
  let models: [[String: TensorPair]]
  let tunedPaths: [String]
  /// Whether a module of this name is stored in × out.
  private let isStoredTransposed: (String) -> Bool
  /// A sentence for each module or group that is left out.
  var notes: [String] = []

  init(models: [[String: TensorPair]], tunedPaths: [String], isStoredTransposed: @escaping (String) -> Bool) {
    self.models = models
    self.tunedPaths = tunedPaths
    self.isStoredTransposed = isStoredTransposed
  }

  /// One group a pattern, or one a type of module.
  ///
  /// - Throws: `SourceError` for a pattern that does not parse or matches nothing, `JointPlanError` if nothing is left
  ///   or a module would be in two groups.
  mutating func groups(_ patterns: [String]) throws -> [LayerGroup] {
    let modules = commonModules()
    var members: [(name: String, modules: [String])] = []
    if patterns.isEmpty {
      members = Dictionary(grouping: modules) { LayerPlace(module: $0).type }
        .map { ($0.key, $0.value) }.sorted { $0.name < $1.name }
    } else {
      var owners: [String: String] = [:]
      for pattern in patterns {
        let regex = try parsePattern(pattern, option: "--group", candidates: modules)
        let matched = modules.filter { $0.contains(regex) }
        for module in matched {
          if let owner = owners.updateValue(pattern, forKey: module) {
            throw JointPlanError.inTwoGroups(module: module, patterns: [owner, pattern])
          }
        }
        members.append((pattern, matched))
      }
    }
    let groups = members.compactMap { group($0.name, $0.modules) }
    guard !groups.isEmpty else {
      throw JointPlanError.nothingToStack(moduleCount: modules.count, example: modules.first ?? "")
    }
    return groups
  }

  /// Modules that every fine-tuned model has, by layer.
  private mutating func commonModules() -> [String] {
    let all = Set(models.flatMap(\.keys))
    let names = all.filter { name in models.allSatisfy { $0[name] != nil } }
    for name in all.subtracting(names).sorted(by: isBefore) {
      let path = zip(models, tunedPaths).first { $0.0[name] == nil }?.1 ?? ""
      notes.append("'\(name)' is left out: \(path) does not have it")
    }
    return names.sorted(by: isBefore)
  }

  /// A group of the modules that have the most frequent shape; nil for fewer than two.
  private mutating func group(_ name: String, _ modules: [String]) -> LayerGroup? {
    let shapes = modules.map { models[0][$0]?.shape ?? [] }
    let counts = Dictionary(grouping: shapes) { $0 }.mapValues(\.count)
    guard let shape = counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) })?.key else { return nil }
    let members = zip(modules, shapes).filter { $1 == shape }.map(\.0)
    guard members.count > 1 else {
      notes.append("group '\(name)' is left out: one module has nothing to share (\(members[0]))")
      return nil
    }
    for (module, other) in zip(modules, shapes) where other != shape {
      notes.append(
        "'\(module)' is left out of group '\(name)': its shape is \(other), that of \(members.count) others \(shape)"
      )
    }
    let isTransposed = isStoredTransposed(members[0])
    return LayerGroup(
      name: name, modules: members, shape: isTransposed ? shape.reversed() : shape,
      isStoredTransposed: isTransposed,
      pairs: models.map { model in members.compactMap { model[$0] } })
  }
}

private func < (one: (Int, [Int]), other: (Int, [Int])) -> Bool {
  one.0 != other.0 ? one.0 < other.0 : one.1.lexicographicallyPrecedes(other.1)
}
