package import Adapters

/// Some neighbouring singular values of one type of module, which a search keeps or leaves out together.
package struct TripletSwitch: Equatable {
  package let type: String
  package let numbers: ClosedRange<Int>

  /// The switches of a selection of modules.
  ///
  /// - Parameters:
  ///   - ranks: Triplets of each module, by path.
  ///   - blockLength: How many singular values make one switch.
  /// - Returns: By type, then by number.
  package static func all(ranks: [String: Int], blockLength: Int) -> [TripletSwitch] {
    let largest = Dictionary(ranks.map { (moduleType($0.key), $0.value) }, uniquingKeysWith: max)
    return largest.sorted { $0.key < $1.key }.flatMap { type, count in
      stride(from: 0, to: count, by: blockLength).map {
        TripletSwitch(type: type, numbers: $0...min($0 + blockLength, count) - 1)
      }
    }
  }
}

extension TripletEdit {
  /// The edit that leaves out some switches.
  package init(off: Set<Int>, of switches: [TripletSwitch]) {
    let types = Dictionary(grouping: off.map { switches[$0] }, by: \.type)
    self.init(drop: types.mapValues { TripletNumbers(ranges: $0.map(\.numbers)) })
  }
}
