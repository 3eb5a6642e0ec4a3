public import LinearAlgebra

/// What the svd-training package calls its modules and tensors.
public enum SVDTraining {
  /// The matrices of a layer that it replaces, where a model has them; beside these the head, always.
  public static let layerModules = [
    "mlp.down_proj", "mlp.up_proj", "mlp.gate_proj", "self_attn.q_proj", "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj", "mlp.gate_up_proj", "self_attn.qkv_proj",
  ]

  /// A name that no loader of models looks for: read as a model, the residuals would pass for the weights.
  public static let fileName = "svd_decomposed.safetensors"

  /// A module's tensors, in the order of `SVDTrainingFactors`.
  public static func tensorNames(ofModule path: String) -> (
    u: String, sigma: String, v: String, weight: String
  ) {
    (path + ".U", path + ".sigma", path + ".V", path + ".weight")
  }

  /// The singular values that are trained of a matrix of this shape: a fraction of its shorter side, rounded down.
  public static func valueCount(ofShape shape: [Int], fraction: Double) -> Int {
    Int(Double(shape.min() ?? 0) * fraction)
  }
}

/// The leading triplets as svd-training keeps them: U out × q, σ of q, and V in × q.
public struct SVDTrainingFactors: ~Copyable {
  /// U, out × q.
  public let u: Matrix<Double>
  /// σ, one row.
  public let sigma: Matrix<Double>
  /// V, in × q.
  public let v: Matrix<Double>

  /// Finds them, with zeros beyond the rank that the weight has.
  public init(of weight: inout Matrix<Float>, options: TruncatedSVD.Options, threadCount: Int = 1) throws {
    let rank = options.rank
    let triplets = try LeadingTriplets(of: &weight, options: options, threadCount: threadCount)
    let ones = triplets.values.map { _ in 1.0 }
    u = scaledColumns(triplets.u, by: ones, count: rank)
    v = scaledRows(triplets.vh, by: ones, count: rank).transposed()
    sigma = Matrix(
      triplets.values + Array(repeating: 0, count: rank - triplets.values.count), rows: 1, columns: rank)
  }

  /// U·diag(σ) and Vᵀ of numbers as they are stored: the product that stands beside the residual.
  public static func product(
    u: borrowing Matrix<Double>, sigma: borrowing Matrix<Double>, v: borrowing Matrix<Double>
  ) -> FactorPair {
    let values = sigma.elements
    return FactorPair(
      left: scaledColumns(u, by: values, count: values.count), right: v.transposed(), values: values)
  }
}
