internal import WeightSources

/// The modules that two collections have in common, those of one type together.
struct CommonModules {
  /// Indices in both.
  let pairs: [(first: Int, second: Int)]
  let onlyInFirst: [String]
  let onlyInSecond: [String]

  /// Pairs modules of equal paths; if there are none, of paths of which one ends in the other: a base model may be saved
  /// with the prefix of the model around it, or without.
  ///
  /// - Throws: `OverlapError` if nothing is in common, or if shapes differ.
  init(_ first: any UpdateCollection, _ second: any UpdateCollection) throws(OverlapError) {
    let places = Dictionary(
      second.modules.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var found = first.modules.enumerated().compactMap { index, module in places[module].map { (index, $0) } }
    if found.isEmpty { found = pairsBySuffix(first.modules, second.modules) }
    guard !found.isEmpty else {
      throw .nothingInCommon(
        first: first.path, second: second.path, firstExample: first.modules.first ?? "",
        secondExample: second.modules.first ?? "")
    }
    for (one, other) in found where first.shape(of: one) != second.shape(of: other) {
      throw .otherShape(
        module: first.modules[one], first: first.shape(of: one), second: second.shape(of: other),
        firstPath: first.path, secondPath: second.path)
    }
    let order = found.map { ($0, LayerPlace(module: first.modules[$0.0])) }.sorted {
      ($0.1.type, $0.1.layer ?? -1, $0.0.0) < ($1.1.type, $1.1.layer ?? -1, $1.0.0)
    }
    pairs = order.map { (first: $0.0.0, second: $0.0.1) }
    let (firsts, seconds) = (Set(found.map(\.0)), Set(found.map(\.1)))
    onlyInFirst = first.modules.enumerated().filter { !firsts.contains($0.0) }.map(\.1)
    onlyInSecond = second.modules.enumerated().filter { !seconds.contains($0.0) }.map(\.1)
  }
}

private func pairsBySuffix(_ first: [String], _ second: [String]) -> [(Int, Int)] {
  func tail(_ path: String) -> Substring? { path.firstIndex(of: ".").map { path[path.index(after: $0)...] } }
  func pairs(_ long: [String], _ short: [String]) -> [(Int, Int)] {
    let places = Dictionary(
      short.enumerated().map { (Substring($1), $0) }, uniquingKeysWith: { first, _ in first })
    return long.enumerated().compactMap { index, path in
      tail(path).flatMap { places[$0] }.map { (index, $0) }
    }
  }
  let longFirst = pairs(first, second)
  return longFirst.isEmpty ? pairs(second, first).map { ($1, $0) } : longFirst
}
