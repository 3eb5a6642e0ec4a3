internal import LinearAlgebra
internal import WeightSources

/// The components of one group: what `unbraid components` lists.
public struct ComponentListing: Sendable, Codable, Equatable {
  /// The group's name.
  public let group: String
  /// What its components' names begin with.
  public let shortName: String
  /// Module paths, in the order of `layerShares`.
  public let modules: [String]
  /// The layer of each module, as its path says; nil outside the layers.
  public let layers: [Int?]
  /// ‖Δ‖² over all layers and fine-tuned models.
  public let energy: Double
  /// The part of it that the decomposition holds.
  public let energyKept: Double
  /// What the search for components had to say, such as that they are degenerate.
  public let notes: [String]
  /// One set of components, or the two of Tucker, each of which is all of the decomposition.
  public let sets: [SetListing]

  /// Components of one side.
  public struct SetListing: Sendable, Codable, Equatable {
    /// What they are vectors of.
    public let side: ComponentSide
    /// In the order of their numbers.
    public let components: [Component]
    /// Those that cannot be told apart, as they would be typed; single components are blocks too.
    public let blocks: [Block]
  }

  /// One component.
  public struct Component: Sendable, Codable, Equatable {
    /// As it would be typed.
    public let name: String
    /// Its singular value, or λ.
    public let singularValue: Double
    /// Its energy as a part of the group's.
    public let energyShare: Double
    /// (σᵢ − σᵢ₊₁)/σᵢ; nil for the last.
    public let gap: Double?
    /// The part of its energy in each layer; of all fine-tuned models together.
    public let layerShares: [Double]
    /// The part of its energy in each fine-tuned model.
    public let tunedShares: [Double]
    /// For CP of several fine-tuned models, the signed use by each: a unit vector.
    public let tunedUse: [Double]?
  }

  /// Components that count as one.
  public struct Block: Sendable, Codable, Equatable {
    /// As it would be typed.
    public let name: String
    /// Numbers of its components.
    public let members: [Int]
    /// Energy of their sum as a part of the group's: components of CP that cancel have more than that each.
    public let energyShare: Double
    /// The gap after its last member; nil at the end.
    public let gap: Double?
    /// The part of its energy in each layer.
    public let layerShares: [Double]
    /// The part of its energy in each fine-tuned model.
    public let tunedShares: [Double]
  }

  /// Lists the components of a group.
  ///
  /// - Parameters:
  ///   - tensors: The group's.
  ///   - shortName: Its short name.
  public init(_ tensors: GroupTensors, shortName: String) {
    let record = tensors.record
    group = record.name
    self.shortName = shortName
    modules = record.modules
    layers = record.modules.map { LayerPlace(module: $0).layer }
    energy = record.energy
    energyKept = record.energy > 0 ? 1 - record.residual / record.energy : 1
    notes = record.components?.notes ?? []
    sets = record.componentSets(tensors.method).map { SetListing($0, of: tensors, shortName: shortName) }
  }
}

extension ComponentListing.SetListing {
  fileprivate init(_ set: ComponentSet, of tensors: GroupTensors, shortName: String) {
    let alone = tensors.energies(set.side)
    let spread = EnergySpread(alone, layerCount: tensors.record.modules.count)
    let total = tensors.record.energy
    let values = spread.energies.map { $0.squareRoot() }
    let uses = tensors.record.components?.tunedUse ?? []
    side = set.side
    components = (0..<set.count).map { number in
      ComponentListing.Component(
        name: set.name(shortName, TripletNumbers(ranges: [number...number])), singularValue: values[number],
        energyShare: total > 0 ? spread.energies[number] / total : 0, gap: gap(values, after: number),
        layerShares: spread.layerShares(number), tunedShares: spread.tunedShares(number),
        tunedUse: number < uses.count ? uses[number] : nil)
    }
    blocks = tensors.blocks(set.side, energies: spread.energies).map { members in
      let sums = EnergySpread(
        tensors.energies(ofSumsOf: members, set.side, alone: alone).map { [$0] },
        layerCount: tensors.record.modules.count)
      return ComponentListing.Block(
        name: set.name(shortName, TripletNumbers(ranges: members.map { $0...$0 })), members: members,
        energyShare: total > 0 ? sums.energies[0] / total : 0,
        gap: gap(values, after: members[members.count - 1]), layerShares: sums.layerShares(0),
        tunedShares: sums.tunedShares(0))
    }
  }
}

private func gap(_ values: [Double], after number: Int) -> Double? {
  guard number + 1 < values.count, values[number] > 0 else { return nil }
  return (values[number] - values[number + 1]) / values[number]
}

extension GroupTensors {
  /// Components that cannot be told apart, each block in ascending order; blocks by their first member.
  func blocks(_ side: ComponentSide, energies: [Double]) -> [[Int]] {
    let blocks: ComponentBlocks
    if side == .both {
      let modes = (record.tunedCount > 1 ? ["tuned"] : []) + ["layer", "out", "in"]
      blocks = ComponentBlocks(components: modes.map(tensor))
    } else {
      let entryCount = Double(record.shape[0]) * Double(record.shape[1]) * Double(sliceCount)
      blocks = ComponentBlocks(directions: energies, errorVariance: record.residual / entryCount)
    }
    return Dictionary(grouping: blocks.first.indices) { blocks.first[$0] }.values
      .map { $0.sorted() }.sorted { $0[0] < $1[0] }
  }
}

/// The energies of components over the slices, summed in the ways that are listed.
private struct EnergySpread {
  /// A row a slice.
  private let slices: [[Double]]
  private let layerCount: Int
  /// Of each component over all slices.
  let energies: [Double]

  init(_ slices: [[Double]], layerCount: Int) {
    self.slices = slices
    self.layerCount = layerCount
    energies = (slices.first ?? []).indices.map { component in slices.reduce(0) { $0 + $1[component] } }
  }

  func layerShares(_ component: Int) -> [Double] {
    shares(component, count: layerCount) { $0 % layerCount }
  }

  func tunedShares(_ component: Int) -> [Double] {
    shares(component, count: slices.count / layerCount) { $0 / layerCount }
  }

  private func shares(_ component: Int, count: Int, place: (Int) -> Int) -> [Double] {
    var sums = [Double](repeating: 0, count: count)
    for (slice, row) in slices.enumerated() { sums[place(slice)] += row[component] }
    let total = sums.reduce(0, +)
    return sums.map { total > 0 ? $0 / total : 0 }
  }
}
