/// The names by which PEFT finds exactly the adapted modules of a model.
///
/// PEFT takes a module whose path equals a target or ends in it after a dot. A last path component is enough
/// where every module that ends so is adapted, which keeps the list short and is what other consumers read;
/// otherwise full paths are listed.
public struct TargetModules: Sendable, Equatable {
  /// `target_modules`, sorted.
  public let targets: [String]
  /// `exclude_modules`, sorted: paths that a target would catch by accident; usually none.
  public let exclusions: [String]

  /// Targets and exclusions as another configuration has them.
  public init(targets: [String], exclusions: [String]) {
    self.targets = targets.sorted()
    self.exclusions = exclusions.sorted()
  }

  /// Chooses targets for the adapted modules among all modules of the model.
  ///
  /// - Parameters:
  ///   - adapted: Full paths.
  ///   - all: Full paths of every module that owns a tensor; their ancestors are known from them.
  public init(adapted: [String], all: [String]) {
    let adaptedSet = Set(adapted)
    let others = Set(all).union(all.flatMap(ancestors)).subtracting(adaptedSet)
    let leavesOfOthers = Set(others.map(lastComponent))
    var targets: Set<String> = []
    for module in adapted {
      let leaf = lastComponent(module)
      targets.insert(leavesOfOthers.contains(leaf) ? module : leaf)
    }
    self.targets = targets.sorted()
    exclusions = others.filter { other in
      targets.contains { other == $0 || other.hasSuffix("." + $0) }
    }.sorted()
  }
}

private func lastComponent(_ path: String) -> String {
  path.lastIndex(of: ".").map { String(path[path.index(after: $0)...]) } ?? path
}

private func ancestors(of path: String) -> [String] {
  path.indices.filter { path[$0] == "." }.map { String(path[..<$0]) }
}
