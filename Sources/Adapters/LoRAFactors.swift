public import LinearAlgebra
internal import WeightSources

/// The two factors of one module's update as they are stored, with the error they leave.
public struct LoRAFactors: Sendable {
  /// A, rank × in, as stored.
  public let a: [UInt8]
  /// B, out × rank, as stored.
  public let b: [UInt8]
  /// The number of rows of A.
  public let rank: Int
  /// ‖Δ − B·A‖_F² for the rounded factors, summed explicitly in double precision.
  public let residualEnergy: Double
  /// What selections of the triplets leave, if that was asked for.
  public let certificate: SelectionCertificate?

  /// Factors that were made elsewhere.
  public init(
    a: [UInt8], b: [UInt8], rank: Int, residualEnergy: Double, certificate: SelectionCertificate? = nil
  ) {
    self.a = a
    self.b = b
    self.rank = rank
    self.residualEnergy = residualEnergy
    self.certificate = certificate
  }

  /// Splits an SVD evenly, √σ on each side, so that both factors have like magnitudes before rounding.
  ///
  /// - Parameters:
  ///   - svd: Of the matrix as it is stored in the checkpoint.
  ///   - delta: That matrix, or this rank's share of it.
  ///   - layout: Which side of it is the module's input.
  ///   - factorType: The type the factors are rounded to.
  ///   - module: The module's name, for errors.
  ///   - share: Which part `delta` is; all members of its group make the same call. Nil for all.
  ///   - certifiesSelections: Whether to find out what every selection of the triplets would leave.
  /// - Throws: `AdapterError.factorOverflow` if an entry leaves the range of the factor type.
  public init(
    _ svd: borrowing TruncatedSVD, of delta: borrowing Matrix<Float>, layout: WeightLayout,
    factorType: FactorType, module: String, share: LongSideShare? = nil, certifiesSelections: Bool = false
  ) throws {
    let part = delta.view
    let share = share ?? LongSideShare(rows: part.rowCount, columns: part.columnCount)
    try self.init(svd, layout: layout, factorType: factorType, module: module) { left, right in
      certifiesSelections
        ? residualProjections(ofPart: part, minus: left, times: right, share: share)
        : [residualSumOfSquares(ofPart: part, minus: left, times: right, share: share)]
    }
  }

  /// The same with the residual taken by the caller.
  ///
  /// - Parameters:
  ///   - svd: Of the matrix as it is stored in the checkpoint.
  ///   - layout: Which side of it is the module's input.
  ///   - factorType: The type the factors are rounded to.
  ///   - module: The module's name, for errors.
  ///   - residual: ‖Δ − L·R‖_F² of the rounded factors L and R; then what is left of each triplet in that
  ///     difference (`residualProjections`), if selections are to be certified.
  /// - Throws: `AdapterError.factorOverflow` as above, or what `residual` throws.
  package init(
    _ svd: borrowing TruncatedSVD, layout: WeightLayout, factorType: FactorType, module: String,
    residual: (borrowing Matrix<Float>, borrowing Matrix<Float>) throws -> [Double]
  ) throws {
    let rounded = RoundedProduct(u: svd.u, values: svd.s, vh: svd.vh, factorType: factorType)
    // The certificate is for what the consumer will multiply, not for what was there before rounding.
    let sums = try residual(rounded.left, rounded.right)
    residualEnergy = sums[0]
    guard residualEnergy.isFinite else {
      throw AdapterError.factorOverflow(module: module, factorType: factorType, largest: svd.s.first ?? 0)
    }
    certificate =
      sums.count > 1 ? SelectionCertificate(sums: sums, left: rounded.left, right: rounded.right) : nil
    rank = svd.rank
    switch layout {
    case .outputByInput:
      a = rounded.storedRight
      b = rounded.storedLeft
    case .inputByOutput:
      a = factorType.elementType.encode(rounded.left.transposed())
      b = factorType.elementType.encode(rounded.right.transposed())
    }
  }
}

/// Which dimension of a stored weight is the module's input.
public enum WeightLayout: String, Sendable, Codable {
  /// Rows are outputs, as in PyTorch's Linear.
  case outputByInput
  /// Rows are inputs, as in GPT-2's Conv1D and in embedding tables.
  case inputByOutput
}
