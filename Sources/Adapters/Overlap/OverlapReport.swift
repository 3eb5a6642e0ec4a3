internal import LinearAlgebra
internal import WeightSources

/// What two adapters or decompositions of one base model have in common, module by module and component by component.
public struct OverlapReport: Sendable, Codable, Equatable {
  /// A's folder.
  public var first: String
  /// B's folder.
  public var second: String
  /// The modules that both change, those of one type together.
  public var modules: [ModuleOverlap]
  /// If A is a joint decomposition: how much of each of its components is in B's subspaces.
  public var components: [Component]
  /// How much of A is in B's subspaces: the mean over the modules, each counting by its energy.
  public var firstInSecond: SideEnergies
  /// How much of B is in A's.
  public var secondInFirst: SideEnergies
  /// What directions drawn at random would have, likewise: A in B, B in A.
  public var chance: [SideEnergies]
  /// ⟨Δ_A, Δ_B⟩ / (‖Δ_A‖·‖Δ_B‖) over all these modules at once.
  public var cosine: Double
  /// Modules that only A changes.
  public var onlyInFirst: [String]
  /// Modules that only B changes.
  public var onlyInSecond: [String]

  /// One component of a joint decomposition.
  public struct Component: Sendable, Codable, Equatable {
    /// As `unbraid components` names it.
    public var name: String
    /// ‖·‖² over the modules that B changes, too.
    public var energy: Double
    /// How much of that is in B's subspaces.
    public var part: SideEnergies
  }

  /// Compares two collections, reading one module of each at a time.
  ///
  /// - Parameters:
  ///   - first: A.
  ///   - second: B.
  ///   - progress: Called with the number of finished modules and of all.
  /// - Throws: `OverlapError` if they do not fit together, or what is wrong with either.
  public init(
    _ first: any UpdateCollection, _ second: any UpdateCollection, progress: (Int, Int) -> Void = { _, _ in }
  ) throws {
    let common = try CommonModules(first, second)
    var modules: [ModuleOverlap] = []
    var components = ComponentSums(first as? JointUpdates)
    var onlyInFirst = common.onlyInFirst
    var onlyInSecond = common.onlyInSecond
    for (index, pair) in common.pairs.enumerated() {
      let (one, other) = (try first.update(at: pair.first), try second.update(at: pair.second))
      if let one, let other {
        let subspaces = try UpdateSubspaces(other.factors)
        modules.append(
          try ModuleOverlap(first.modules[pair.first], UpdateSubspaces(one.factors), subspaces))
        try components.add(module: pair.first, inside: subspaces)
      } else {
        if one != nil { onlyInFirst.append(first.modules[pair.first]) }
        if other != nil { onlyInSecond.append(second.modules[pair.second]) }
      }
      progress(index + 1, common.pairs.count)
    }
    guard !modules.isEmpty else {
      throw OverlapError.nothingInCommon(
        first: first.path, second: second.path, firstExample: onlyInFirst.first ?? "",
        secondExample: onlyInSecond.first ?? "")
    }
    self.init(
      first: first.path, second: second.path, modules: modules, components: components.components,
      onlyInFirst: onlyInFirst.sorted(), onlyInSecond: onlyInSecond.sorted())
  }

  private init(
    first: String, second: String, modules: [ModuleOverlap], components: [Component], onlyInFirst: [String],
    onlyInSecond: [String]
  ) {
    self.first = first
    self.second = second
    self.modules = modules
    self.components = components
    self.onlyInFirst = onlyInFirst
    self.onlyInSecond = onlyInSecond
    func energy(_ module: ModuleOverlap, _ side: Int) -> Double { module.norms[side] * module.norms[side] }
    firstInSecond = SideEnergies(mean: modules.map { (energy($0, 0), $0.firstInSecond) })
    secondInFirst = SideEnergies(mean: modules.map { (energy($0, 1), $0.secondInFirst) })
    chance = [0, 1].map { side in SideEnergies(mean: modules.map { (energy($0, side), $0.chance[side]) }) }
    let product = modules.reduce(0) { $0 + $1.cosine * $1.norms[0] * $1.norms[1] }
    let energies = [0, 1].map { side in modules.reduce(0) { $0 + energy($1, side) } }
    let scale = (energies[0] * energies[1]).squareRoot()
    cosine = scale > 0 ? product / scale : 0
  }
}

/// The components of a joint decomposition, summed up module by module.
private struct ComponentSums {
  private let updates: JointUpdates?
  private var sums: [[ComponentSide: [[(energy: Double, part: SideEnergies)]]]] = []

  init(_ updates: JointUpdates?) {
    self.updates = updates
    guard let updates else { return }
    sums = updates.record.groups.map { group in
      Dictionary(
        uniqueKeysWithValues: group.componentSets(updates.record.method).map {
          ($0.side, Array(repeating: [], count: $0.count))
        })
    }
  }

  mutating func add(module index: Int, inside other: UpdateSubspaces) throws {
    guard let updates else { return }
    let (tensors, slice) = try updates.slice(at: index)
    let group = updates.group(of: index)
    for set in updates.record.groups[group].componentSets(updates.record.method) {
      for (component, found) in tensors.components(ofSlice: slice, set.side, inside: other).enumerated() {
        sums[group][set.side]?[component].append(found)
      }
    }
  }

  /// Those that act in a common module, strongest first within their set.
  var components: [OverlapReport.Component] {
    guard let updates else { return [] }
    let names = GroupNames(updates.record.groups.map(\.name)).short
    return updates.record.groups.enumerated().flatMap { group, record in
      record.componentSets(updates.record.method).flatMap { set in
        (sums[group][set.side] ?? []).enumerated().compactMap { number, parts in
          let energy = parts.reduce(0) { $0 + $1.energy }
          return energy > 0
            ? OverlapReport.Component(
              name: set.name(names[group], TripletNumbers(ranges: [number...number])), energy: energy,
              part: SideEnergies(mean: parts)) : nil
        }
      }
    }
  }
}
