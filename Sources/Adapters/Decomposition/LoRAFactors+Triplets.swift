internal import LinearAlgebra
internal import WeightSources

extension LoRAFactors {
  /// The factors of some stored triplets, whose singular values may have been changed.
  ///
  /// What they leave of Δ is known without Δ. With E = Δ − U·diag(σ)·Vh for all stored triplets, and the rounded product
  /// L·R of those that are kept, it is ‖E‖² + Σσ² of the others + ‖Σ σᵢuᵢvᵢ − L·R‖² of the kept ones, since E and triplets
  /// are orthogonal to each other to the 1e-7 that single precision has; the last term is summed over the factors as they
  /// are stored, so that rounding is in it.
  ///
  /// - Parameters:
  ///   - vectors: The triplets that are kept.
  ///   - stored: Their singular values in the decomposition.
  ///   - wanted: What these become.
  ///   - remainder: ‖E‖² and the energy of the triplets that are not kept.
  ///   - gain: What the loader will multiply the product by: alpha / rank.
  ///   - factorType: The type of the factors.
  ///   - module: The module's name, for errors.
  /// - Throws: `AdapterError.factorOverflow` if an entry leaves the range of the factor type.
  package init(
    _ vectors: borrowing DecompositionFolder.Vectors, stored: [Double], wanted: [Double], remainder: Double,
    gain: Double, factorType: FactorType, module: String
  ) throws {
    // With a gain of 1 these are the extraction's own numbers, to the bit.
    let rounded = RoundedProduct(
      u: vectors.u, values: gain == 1 ? wanted : wanted.map { $0 / gain }, vh: vectors.vh,
      factorType: factorType)
    let difference = energyOfProducts(
      stored + wanted.map { _ in -gain },
      stacked(vectors.u.transposed(), rounded.left.transposed()),
      stacked(vectors.vh, rounded.right))
    guard difference.isFinite else {
      throw AdapterError.factorOverflow(module: module, factorType: factorType, largest: stored.first ?? 0)
    }
    self.init(
      a: rounded.storedRight, b: rounded.storedLeft, rank: stored.count,
      residualEnergy: remainder + difference)
  }
}
