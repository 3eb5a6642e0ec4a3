internal import WeightSources

/// What is to be done to the components of a folder, as typed.
public struct ComponentEdit: Sendable, Codable, Equatable {
  /// Components to keep; without any, all are kept.
  ///
  /// Of groups that it does not name nothing is.
  public var keep: [String] = []
  /// Components to leave out, also of those kept.
  public var drop: [String] = []
  /// Components to multiply, such as `q_proj:3=0.5`.
  public var scale: [String] = []
  /// Groups to keep; without any, all.
  public var groups: [String] = []
  /// Layers to keep, by the numbers in the modules' paths; nil for all.
  public var layers: TripletNumbers?
  /// Whether to take the whole decomposition minus all that.
  public var takesComplement = false

  /// No change.
  public init() {}
}

/// An edit of one folder's components, as factors.
///
/// In group g each component c of side s has a factor, and each module has one; what is written of an entry of the
/// decomposition is the product of its factors, or one minus that for the complement. So the two always add up to the
/// whole, whatever the edit.
public struct ResolvedEdit: Sendable {
  /// One a group of the folder.
  package let groups: [Group]
  /// Sentences about what the edit does to components that count as one.
  public let notes: [String]

  /// The factors of one group.
  package struct Group: Sendable {
    /// By side, one a component.
    var factors: [ComponentSide: [Double]]
    /// Whether each module is taken.
    var takesModule: [Bool]
    let takesComplement: Bool

    /// The factor of what belongs to these components in a module.
    func factor(_ components: Double, module: Int) -> Double {
      let product = takesModule[module] ? components : 0
      return takesComplement ? 1 - product : product
    }
  }

  /// Resolves an edit.
  ///
  /// - Parameters:
  ///   - edit: What was typed.
  ///   - record: The folder's.
  ///   - listings: The components of each of its groups, for notes on blocks.
  /// - Throws: `ComponentError` for a name that says nothing of the folder.
  public init(_ edit: ComponentEdit, of record: JointRecord, listings: [ComponentListing])
    throws(ComponentError)
  {
    let folder = NamedComponents(record)
    let keep = try ComponentSelection(edit.keep, in: folder)
    let drop = try ComponentSelection(edit.drop, in: folder)
    let scale = try ComponentScales(edit.scale, in: folder)
    let wanted = try folder.groups(edit.groups)
    let inLayers = try modulesInLayers(edit.layers, of: record)
    var groups: [Group] = []
    for (index, group) in record.groups.enumerated() {
      let isKept = (edit.keep.isEmpty || keep.names(group: index)) && wanted.contains(index)
      var factors: [ComponentSide: [Double]] = [:]
      for set in folder.sets[index] {
        let place = ComponentPlace(group: index, side: set.side)
        factors[set.side] = (0..<set.count).map { number in
          let isKept = keep.wholeGroups.contains(index) || keep.members[place]?.contains(number) ?? true
          let isDropped = drop.wholeGroups.contains(index) || drop.members[place]?.contains(number) ?? false
          return isKept && !isDropped ? scale.factor(place, number) : 0
        }
      }
      groups.append(
        Group(
          factors: factors, takesModule: group.modules.indices.map { isKept && inLayers[index][$0] },
          takesComplement: edit.takesComplement))
    }
    self.groups = groups
    notes = zip(groups, listings).flatMap { splitBlocks($0.factors, $1) }
  }
}

/// Factors by component.
private struct ComponentScales {
  private var factors: [ComponentPlace: [(numbers: TripletNumbers, factor: Double)]] = [:]

  init(_ texts: [String], in folder: NamedComponents) throws(ComponentError) {
    for text in texts {
      guard let sign = text.lastIndex(of: "="), let factor = Double(text[text.index(after: sign)...]),
        factor.isFinite
      else { throw .malformedScale(text: text) }
      let named = try ComponentSelection(String(text[..<sign]), in: folder)
      var members = named.members
      for group in named.wholeGroups {
        // One side: the whole of a group is scaled once.
        members[ComponentPlace(group: group, side: folder.sets[group][0].side)] = .all
      }
      for (place, numbers) in members {
        for other in factors[place] ?? [] where other.numbers.intersects(numbers) {
          throw .scaledTwice(name: String(text[..<sign]))
        }
        factors[place, default: []].append((numbers, factor))
      }
    }
  }

  func factor(_ place: ComponentPlace, _ number: Int) -> Double {
    factors[place]?.first { $0.numbers.contains(number) }?.factor ?? 1
  }
}

/// Which modules of each group are in the layers; all of them if no layers are given.
private func modulesInLayers(_ layers: TripletNumbers?, of record: JointRecord) throws(ComponentError)
  -> [[Bool]]
{
  guard let layers else { return record.groups.map { $0.modules.map { _ in true } } }
  let numbers = record.groups.map { $0.modules.map { LayerPlace(module: $0).layer } }
  guard numbers.joined().contains(where: { $0.map(layers.contains) ?? false }) else {
    let known = TripletNumbers(ranges: numbers.joined().compactMap { $0.map { $0...$0 } })
    throw .noSuchLayers(text: layers.text, known: known.text)
  }
  return numbers.map { $0.map { $0.map(layers.contains) ?? false } }
}

/// A sentence for each block whose members do not all have the same factor.
private func splitBlocks(_ factors: [ComponentSide: [Double]], _ listing: ComponentListing) -> [String] {
  listing.sets.flatMap { set in
    set.blocks.filter { block in
      block.members.contains { factors[set.side]?[$0] != factors[set.side]?[block.members[0]] }
    }.map { block in
      "\(block.name) cannot be told apart and are not treated alike: which direction among them is taken is chance"
    }
  }
}
