/// Components of a folder by group and side, as a list on the command line names them.
///
/// `q_proj:0,2-4,v_proj:1` names four of `q_proj` and one of `v_proj`: what has no group of its own belongs to the one
/// before it. Where a group has components on both sides, `q_proj:out0-2,in5` says which; a group's name alone stands
/// for all of it.
struct ComponentSelection {
  /// Numbers by group and side.
  private(set) var members: [ComponentPlace: TripletNumbers] = [:]
  /// Groups that were named as a whole.
  private(set) var wholeGroups: Set<Int> = []

  /// Reads a list.
  ///
  /// - Throws: `ComponentError` for a name that says nothing of this folder.
  init(_ text: String, in folder: NamedComponents) throws(ComponentError) {
    var group: Int?
    var set: ComponentSet?
    for part in text.split(separator: ",").map(String.init) {
      var numbers = part.filter { $0 != " " }
      if let colon = numbers.lastIndex(of: ":") {
        group = try folder.group(String(numbers[..<colon]))
        set = nil
        numbers = String(numbers[numbers.index(after: colon)...])
      } else if group == nil || folder.names.index(of: numbers) != nil {
        group = try folder.group(numbers)
        set = nil
        if let group { wholeGroups.insert(group) }
        continue
      }
      guard let group else { continue }
      let found = try folder.numbers(numbers, inGroup: group, after: set, typed: part)
      set = found.set
      members[ComponentPlace(group: group, side: found.set.side), default: .none].formUnion(found.numbers)
    }
    guard !members.isEmpty || !wholeGroups.isEmpty else { throw .nothingNamed(text: text) }
  }

  /// Lists that were given one after the other.
  init(_ texts: [String], in folder: NamedComponents) throws(ComponentError) {
    for text in texts { formUnion(try ComponentSelection(text, in: folder)) }
  }

  private mutating func formUnion(_ other: ComponentSelection) {
    for (place, numbers) in other.members { members[place, default: .none].formUnion(numbers) }
    wholeGroups.formUnion(other.wholeGroups)
  }

  /// Whether it names anything of a group.
  func names(group: Int) -> Bool {
    wholeGroups.contains(group) || members.keys.contains { $0.group == group }
  }
}

/// One side of one group.
struct ComponentPlace: Hashable {
  let group: Int
  let side: ComponentSide
}

/// The components that a folder has, by the names that people type.
struct NamedComponents {
  let names: GroupNames
  /// The sets of each group.
  let sets: [[ComponentSet]]

  init(_ record: JointRecord) {
    names = GroupNames(record.groups.map(\.name))
    sets = record.groups.map { $0.componentSets(record.method) }
  }

  /// The number of a group.
  func group(_ text: String) throws(ComponentError) -> Int {
    guard let index = names.index(of: text) else {
      throw .unknownGroup(text: text, known: names.short)
    }
    return index
  }

  /// The numbers of groups that lists name; all of them if there is no list.
  func groups(_ lists: [String]) throws(ComponentError) -> Set<Int> {
    guard !lists.isEmpty else { return Set(sets.indices) }
    var found: Set<Int> = []
    for name in lists.flatMap({ $0.split(separator: ",") }) {
      found.insert(try group(name.trimmingPrefix { $0 == " " }.description))
    }
    return found
  }

  /// The set and the numbers that stand after a colon, or that go on with the set before them.
  fileprivate func numbers(
    _ text: String, inGroup group: Int, after previous: ComponentSet?, typed: String
  ) throws(ComponentError) -> (set: ComponentSet, numbers: TripletNumbers) {
    let prefix = String(text.prefix { $0.isLetter })
    let name = names.short[group]
    let set = sets[group].first { $0.prefix == prefix } ?? (prefix.isEmpty ? previous : nil)
    guard let set, let numbers = TripletNumbers(String(text.dropFirst(prefix.count))),
      let largest = numbers.largestNamed
    else { throw .noSuchName(text: typed, examples: sets[group].map { $0.name(name, .first) }) }
    guard largest < set.count else {
      throw .noSuchNumber(text: typed, group: name, prefix: set.prefix, count: set.count)
    }
    return (set, numbers)
  }
}

extension TripletNumbers {
  fileprivate static let first = TripletNumbers(ranges: [0...0])
}

/// Why an edit of components means nothing for a folder.
public enum ComponentError: Error, CustomStringConvertible, Equatable, Sendable {
  /// No group is called so.
  case unknownGroup(text: String, known: [String])
  /// It is no component's name.
  case noSuchName(text: String, examples: [String])
  /// The group has fewer.
  case noSuchNumber(text: String, group: String, prefix: String, count: Int)
  /// A list without anything in it.
  case nothingNamed(text: String)
  /// `--scale` without a number.
  case malformedScale(text: String)
  /// Two factors for one component.
  case scaledTwice(name: String)
  /// No module of the folder is in these layers.
  case noSuchLayers(text: String, known: String)
  /// Several fine-tuned models, and none chosen.
  case tunedMissing(known: [String])
  /// No fine-tuned model is called so.
  case unknownTuned(text: String, known: [String])
  /// The edit leaves nothing to write.
  case nothingLeft(isComplement: Bool)

  /// One sentence with what was typed and what there is.
  public var description: String {
    switch self {
    case .unknownGroup(let text, let known):
      "'\(text)' is no group of this folder; it has \(known.joined(separator: ", "))"
    case .noSuchName(let text, let examples):
      "'\(text)' names no component; give names such as \(examples.joined(separator: " or "))"
    case .noSuchNumber(let text, let group, let prefix, let count):
      "'\(text)': \(group) has \(count) \(count == 1 ? "component" : "components"), "
        + "\(group):\(prefix)0" + (count == 1 ? "" : " to \(group):\(prefix)\(count - 1)")
    case .nothingNamed(let text): "'\(text)' names no component; 'unbraid components' lists them"
    case .malformedScale(let text): "--scale '\(text)': give a component and a number, such as q_proj:3=0.5"
    case .scaledTwice(let name): "--scale gives '\(name)' two factors; give one"
    case .noSuchLayers(let text, let known):
      "--layers \(text): no module of this folder is in these layers; it has layers \(known)"
    case .tunedMissing(let known):
      "the folder holds \(known.count) fine-tuned models; choose one with --tuned: \(known.joined(separator: ", "))"
    case .unknownTuned(let text, let known):
      "--tuned '\(text)' is no fine-tuned model of this folder; it has \(known.joined(separator: ", "))"
    case .nothingLeft(let isComplement):
      isComplement
        ? "nothing was dropped, so that the complement is empty; leave out --complement"
        : "the edit leaves no component to write; drop less"
    }
  }
}
