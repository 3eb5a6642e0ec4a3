/// Spectrum's result for a model: a signal-to-noise ratio for each module, in the order in which they were scanned.
public struct LayerRatios: Sendable, Equatable {
  /// The modules, each once.
  public let entries: [Entry]

  /// One module.
  public struct Entry: Sendable, Equatable {
    /// Its path, without `.weight`.
    public let module: String
    /// What it is ranked with.
    public let type: String
    /// Its signal-to-noise ratio.
    public let ratio: Double

    /// A module of given parts.
    public init(module: String, type: String, ratio: Double) {
      self.module = module
      self.type = type
      self.ratio = ratio
    }
  }

  /// A result of given modules.
  public init(_ entries: [Entry]) { self.entries = entries }

  /// The modules of each type, types in the order of their first module, modules from the highest ratio down.
  ///
  /// Equal ratios stay in the order in which they were scanned; a ratio that is no number comes last.
  public var ranking: [(type: String, entries: [Entry])] {
    var places: [String: Int] = [:]
    var groups: [(type: String, entries: [Entry])] = []
    for entry in entries {
      if let place = places[entry.type] {
        groups[place].entries.append(entry)
      } else {
        places[entry.type] = groups.count
        groups.append((entry.type, [entry]))
      }
    }
    return groups.map { ($0.type, ranked($0.entries)) }
  }

  /// The best modules of each type, as many as a percentage of them gives, rounded down.
  public func selection(topPercent: Int) -> [(type: String, modules: [String])] {
    ranking.map { type, entries in
      (type, entries.prefix(entries.count * topPercent / 100).map(\.module))
    }
  }
}

private func ranked(_ entries: [LayerRatios.Entry]) -> [LayerRatios.Entry] {
  entries.enumerated().sorted { one, other in
    let (a, b) = (one.element.ratio, other.element.ratio)
    if a == b || (a.isNaN && b.isNaN) { return one.offset < other.offset }
    return b.isNaN || a > b
  }.map(\.element)
}
