/// How much of an update lies in the subspaces of another one, as parts of its own energy ‖Δ‖².
///
/// With P and Q the orthogonal projections onto what the other one writes to and reads from.
public struct SideEnergies: Sendable, Codable, Equatable {
  /// ‖P·Δ‖² / ‖Δ‖²: written to the same outputs.
  public var outputs: Double
  /// ‖Δ·Q‖² / ‖Δ‖²: read from the same inputs.
  public var inputs: Double
  /// ‖P·Δ·Q‖² / ‖Δ‖²: both.
  public var both: Double

  /// Parts of given sizes.
  public init(outputs: Double, inputs: Double, both: Double) {
    self.outputs = outputs
    self.inputs = inputs
    self.both = both
  }

  /// What directions drawn at random would have, for another update of this rank.
  init(byChanceWithRank rank: Int, outputCount: Int, inputCount: Int) {
    let (outputs, inputs) = (
      min(1, Double(rank) / Double(outputCount)), min(1, Double(rank) / Double(inputCount))
    )
    self.init(outputs: outputs, inputs: inputs, both: outputs * inputs)
  }

  /// The mean over updates, each counting by its energy.
  init(mean parts: [(energy: Double, part: SideEnergies)]) {
    let total = parts.reduce(0) { $0 + $1.energy }
    func mean(_ side: KeyPath<SideEnergies, Double>) -> Double {
      total > 0 ? parts.reduce(0) { $0 + $1.energy * $1.part[keyPath: side] } / total : 0
    }
    self.init(outputs: mean(\.outputs), inputs: mean(\.inputs), both: mean(\.both))
  }
}
