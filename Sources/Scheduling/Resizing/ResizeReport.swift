public import Adapters
internal import Foundation

/// `report.json` of a resized adapter.
public struct ResizeReport: Sendable, Encodable {
  /// The adapter it was made from.
  public let adapter: String
  /// What decided the ranks.
  public let rules: TripletRules
  /// One record a module.
  public let modules: [Module]
  /// Sentences on what could not be had.
  public let notes: [String]

  /// What became of one module.
  public struct Module: Sendable, Encodable {
    /// Its path.
    public let module: String
    /// The rank of its factors before; of the update itself it may be smaller.
    public let oldRank: Int
    /// The rank now; 0 for a module that is left out.
    public let rank: Int
    /// ‖scale · B·A‖_F before.
    public let norm: Double
    /// The distance of the factors as written from that.
    public let writtenResidual: Double
    /// All singular values before, without zeros.
    public let singularValues: [Double]

    /// The part of the energy that is left: 1 − residual² / norm².
    public var energyKept: Double { norm > 0 ? 1 - (writtenResidual / norm) * (writtenResidual / norm) : 1 }
  }

  /// The numbers that a person asks for, as one sentence.
  public var summary: String {
    let before = modules.map(\.oldRank)
    let after = modules.map(\.rank)
    let left = modules.reduce(0) { $0 + $1.writtenResidual * $1.writtenResidual }
    let all = modules.reduce(0) { $0 + $1.norm * $1.norm }
    var parts = [
      "\(modules.count { $0.rank > 0 }) of \(modules.count) modules",
      "rank \(span(before)) -> \(span(after))",
      percent(all > 0 ? 1 - left / all : 1) + " of the energy kept",
    ]
    if let worst = modules.min(by: { $0.energyKept < $1.energyKept }) {
      parts.append("worst \(worst.module) \(percent(worst.energyKept))")
    }
    return parts.joined(separator: ", ")
  }

  private func span(_ ranks: [Int]) -> String {
    let (least, most) = (ranks.min() ?? 0, ranks.max() ?? 0)
    return least == most ? "\(most)" : "\(least)-\(most)"
  }
}

extension ResizeReport.Module {
  init(_ module: PEFTAdapter.Module, _ values: [Double], _ choice: TripletChoice, writtenResidual: Double) {
    self.module = module.path
    oldRank = module.rank
    rank = choice.numbers.count
    norm = Scheduling.norm(values)
    self.writtenResidual = writtenResidual
    singularValues = values
  }
}

private func percent(_ fraction: Double) -> String { String(format: "%.2f %%", 100 * fraction) }

/// Why an adapter cannot be resized as asked.
public enum ResizeError: ExitCoded, CustomStringConvertible, Equatable, Sendable {
  /// The rules leave no module.
  case nothingLeft(adapter: String, moduleCount: Int)

  /// The code this error ends a job with.
  public var exitCode: ExitCode { if case .nothingLeft = self { .usage } else { .badInput } }

  /// One sentence with what was found and the remedy.
  public var description: String {
    switch self {
    case .nothingLeft(let adapter, let count):
      "\(adapter): the rules leave no singular value in any of the \(count) modules; give gentler ones"
    }
  }
}
