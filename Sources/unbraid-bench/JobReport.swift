import Foundation
import LinearAlgebra

/// What a measurement needs of an extraction's `report.json`.
struct JobReport: Decodable {
  let seconds: Double
  let bytesRead: Int
  let modules: [Module]
  let ranks: [Rank]

  struct Module: Decodable {
    let shape: [Int]
    let rank: Int
    let requestedRank: Int
    let method: TruncatedSVD.Method
    let passes: Int
    let rankCount: Int
  }

  struct Rank: Decodable {
    let peakMemoryBytes: Int
    let computingSeconds: Double
    let waitingSeconds: Double
    let exchangedBytes: Int
    let exchangeSeconds: Double
  }

  init(adapter: String) throws { try self.init(path: adapter + "/report.json") }

  init(path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    self = try JSONDecoder().decode(Self.self, from: data)
  }

  /// Operations of all products with the differences: the decompositions, and the residuals of the factors.
  var operations: Double {
    modules.reduce(0) { sum, module in
      let (rows, columns) = (module.shape[0], module.shape[1])
      guard module.passes > 0 else { return sum }
      return sum
        + OperationCount.decomposition(
          rows: rows, columns: columns, rank: module.requestedRank, method: module.method,
          passes: module.passes)
        + OperationCount.product(rows: rows, columns: columns, rank: module.rank)
    }
  }

  var peakMemoryBytes: Int { ranks.map(\.peakMemoryBytes).max() ?? 0 }
}
