internal import Adapters
public import Foundation
internal import WeightSources

/// What an adapter leaves of a fine-tune, tensor by tensor.
public struct VerificationReport: Sendable, Encodable {
  /// Tensors that the adapter changes: those with factors by module, then biases, then those stored whole.
  public let covered: [Covered]
  /// Tensors that changed and that the adapter does not touch, the largest change first.
  public let uncovered: [Uncovered]
  /// How many tensors did not change and are not touched.
  public let equalCount: Int
  /// ‖Δ − update‖ / ‖Δ‖ over all tensors that the adapter changes.
  public let loss: Double
  /// The share of the energy of all changes that lies in tensors which the adapter does not touch.
  public let uncoveredShare: Double
  /// Sentences on tensors that cannot be compared.
  public let notes: [String]
  /// Wall-clock seconds.
  public let seconds: Double
  /// How each rank spent them.
  public let ranks: [RankStatistics]

  /// One tensor that the adapter changes.
  public struct Covered: Sendable, Encodable {
    /// The module's path, or the tensor's name where there are no factors.
    public let name: String
    /// The stored tensor's dimensions.
    public let shape: [Int]
    /// The rank of its factors; nil for a tensor stored whole or a bias.
    public let rank: Int?
    /// ‖Δ‖_F.
    public let norm: Double
    /// ‖Δ − scale · B·A‖_F of the factors as stored.
    public let residual: Double
    /// Their ratio; 0 for no change and no update.
    public let loss: Double
  }

  /// One tensor that the adapter leaves as it is in the base model.
  public struct Uncovered: Sendable, Encodable {
    /// Its name.
    public let tensor: String
    /// Its dimensions.
    public let shape: [Int]
    /// ‖Δ‖_F.
    public let norm: Double
    /// Its part of the energy of all changes.
    public let share: Double
  }

  init(
    _ plan: VerificationPlan, _ results: [Int: VerificationResult], ranks: [RankStatistics], seconds: Double
  ) {
    let whole = results.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value.energy }
    covered = plan.covered.indices.compactMap { index in
      results[index].map { Covered(plan.covered[index], $0) }
    }
    uncovered = plan.uncovered.indices.compactMap { index in
      guard let result = results[plan.covered.count + index], result.energy > 0 else { return nil }
      let pair = plan.uncovered[index]
      return Uncovered(
        tensor: pair.name, shape: pair.shape, norm: result.energy.squareRoot(), share: result.energy / whole)
    }.sorted { ($1.norm, $0.tensor) < ($0.norm, $1.tensor) }
    equalCount = plan.uncovered.count - uncovered.count
    loss = ratio(
      covered.reduce(0) { $0 + $1.residual * $1.residual }.squareRoot(),
      covered.reduce(0) { $0 + $1.norm * $1.norm }.squareRoot())
    uncoveredShare = uncovered.reduce(0) { $0 + $1.share }
    notes = plan.notes
    self.ranks = ranks
    self.seconds = seconds
  }

  /// The tensor with the greatest loss.
  public var worst: Covered? { covered.max { $0.loss < $1.loss } }

  /// Sees that no tensor loses more than a limit.
  ///
  /// - Throws: `VerificationError` if one does.
  public func check(maxLoss: Double) throws {
    let above = covered.filter { !($0.loss <= maxLoss) }
    guard let worst, !above.isEmpty else { return }
    throw VerificationError(
      count: above.count, coveredCount: covered.count, limit: maxLoss, worst: worst.name, loss: worst.loss)
  }

  /// The numbers that a person asks for, as one sentence.
  public var summary: String {
    var parts = [String(format: "%d tensors covered, loss %.4f", covered.count, loss)]
    if let worst { parts.append("worst \(worst.name) " + String(format: "%.4f", worst.loss)) }
    parts.append(
      String(
        format: "%d changed tensors not covered, %.2f %% of the energy", uncovered.count, 100 * uncoveredShare
      ))
    return parts.joined(separator: ", ")
  }

  /// The report as JSON.
  public func encoded() throws -> Data { try encodedJSON(self) }
}

extension VerificationReport.Covered {
  fileprivate init(_ covered: AdapterCoverage.Covered, _ result: VerificationResult) {
    name = covered.name
    shape = covered.pair.shape
    rank = if case .factors(let module, _, _) = covered.addition { module.rank } else { nil }
    norm = result.energy.squareRoot()
    residual = result.residualEnergy.squareRoot()
    loss = ratio(residual, norm)
  }
}

/// A part of a norm; everything is lost of a change that was none.
private func ratio(_ part: Double, _ whole: Double) -> Double { whole > 0 ? part / whole : part > 0 ? 1 : 0 }

/// That an adapter leaves more of a fine-tune than it may.
public struct VerificationError: ExitCoded, CustomStringConvertible, Equatable, Sendable {
  let count: Int
  let coveredCount: Int
  let limit: Double
  let worst: String
  let loss: Double

  /// The code this error ends a job with.
  public var exitCode: ExitCode { .unmet }

  /// One sentence with the worst module.
  public var description: String {
    "\(count) of \(coveredCount) tensors lose more than --max-loss \(limit), most of all '\(worst)' with "
      + String(format: "%.4f", loss) + "; give the adapter a larger rank, or accept the loss"
  }
}
