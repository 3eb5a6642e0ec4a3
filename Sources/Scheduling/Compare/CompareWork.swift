internal import Analysis
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// What a rank does for a comparison: reads both sides of a module, finds the update's rank and the intruders.
struct CompareWork: UnitWork {
  private let plan: ComparePlan
  private let reader = SoleReader()

  /// The difference and both sides.
  struct Loaded: Sendable {
    let delta: SharedMatrix<Float>
    let tuned: SharedMatrix<Float>
    let base: SharedMatrix<Float>
  }

  /// What came of one module.
  struct Result: Codable {
    let update: UpdateRank
    let intruders: IntruderDimensions?
  }

  init(_ plan: ComparePlan) { self.plan = plan }

  func load(_ unit: Int, group: RankGroup) throws -> Loaded {
    let pair = plan.modules[plan.units[unit]].pair
    // Finite differences have finite sides.
    let delta = try reader.deltas.readDelta(pair).takeMatrix()
    guard let base = pair.base else { preconditionFailure("a comparison has two sides") }
    return Loaded(delta: SharedMatrix(delta), tuned: try read(pair.tuned), base: try read(base))
  }

  private func read(_ weight: TensorLocation) throws -> SharedMatrix<Float> {
    SharedMatrix(try reader.deltas.readDelta(TensorPair(base: nil, tuned: weight)).takeMatrix())
  }

  func compute(_ unit: Int, _ loaded: Loaded, group: RankGroup) throws -> [UInt8] {
    let index = plan.units[unit]
    let module = plan.modules[index]
    let update = try UpdateRank(
      of: loaded.delta.matrix, tuned: loaded.tuned.matrix, storedAs: module.pair.tuned.elementType)
    var intruders: IntruderDimensions?
    if update.verdict != .unchanged {
      // It is outputs that have the directions.
      intruders =
        try plan.isTransposed[index]
        ? IntruderDimensions(
          of: loaded.tuned.matrix.transposed(), against: loaded.base.matrix.transposed(),
          count: plan.request.directionCount)
        : IntruderDimensions(
          of: loaded.tuned.matrix, against: loaded.base.matrix, count: plan.request.directionCount)
    }
    return Array(try JSONEncoder().encode(Result(update: update, intruders: intruders)))
  }
}
