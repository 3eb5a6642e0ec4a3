internal import LinearAlgebra
public import WeightSources

/// One module of an adapter as an SVD of its whole update, scale · B·A.
public struct ResizableModule: ~Copyable {
  private let module: PEFTAdapter.Module
  private let svd: ProductSVD
  /// The singular values that are not zero, descending.
  public let values: [Double]

  /// Reads and decomposes a module's factors.
  ///
  /// - Throws: `PEFTAdapterError` or `CheckpointError` if they cannot be read, `LAPACKError` for no convergence.
  public init(_ module: PEFTAdapter.Module, with reader: DeltaReader) throws {
    let factors = try module.readFactors(with: reader)
    let scales = [Double](repeating: module.scale, count: factors.rank)
    let svd = try ProductSVD(factors.b.widened(), factors.a.widened().scalingRows(by: scales))
    // Double precision leaves this much of a factor whose rows depend on each other.
    let zero = (svd.s.first ?? 0) * 1e-13
    values = svd.s.filter { $0 > zero }
    self.module = module
    self.svd = svd
  }

  /// What rules that choose singular values know of the module.
  public var spectrum: ModuleSpectrum {
    ModuleSpectrum(
      module: module.path, values: values, shape: [module.outputCount, module.inputCount], energy: 0,
      isComplete: true, binadeEnergy: 0, rankSet: AdapterLayout.Module(module, rank: values.count).rankSet)
  }

  /// Factors of scale 1 for some of the singular values, which may have been changed: √|σ| on each side.
  public func factors(_ choice: TripletChoice) -> ModuleFactors {
    let roots = choice.values.map { abs($0).squareRoot() }
    let signed = zip(roots, choice.values).map { $1 < 0 ? -$0 : $0 }
    let left = svd.left.selectingRows(choice.numbers).scalingRows(by: signed)
    let right = svd.right.selectingRows(choice.numbers).scalingRows(by: roots)
    return ModuleFactors(
      a: right.narrowed(rows: right.rowCount), b: left.narrowed(rows: left.rowCount).transposed(), scale: 1)
  }

  /// ‖scale · B·A − B′·A′‖_F for other factors of the same module, right down to the last digits of single precision.
  public func distance(to factors: borrowing ModuleFactors) throws -> Double {
    let (own, other) = (values.count, factors.rank)
    let left = Matrix<Double>(uninitializedRows: module.outputCount, columns: own + other)
    let right = Matrix<Double>(uninitializedRows: own + other, columns: module.inputCount)
    let ownLeft = svd.left.selectingRows(Array(0..<own)).scalingRows(by: values)
    let otherLeft = factors.b.widened()
    let negative = [Double](repeating: -factors.scale, count: other)
    let otherRight = factors.a.widened().scalingRows(by: negative)
    ownLeft.view.transpose(into: left.view.columns(0..<own))
    left.view.columns(own..<own + other).copy(from: otherLeft.view)
    right.view.rows(0..<own).copy(from: svd.right.view.rows(0..<own))
    right.view.rows(own..<own + other).copy(from: otherRight.view)
    return try ProductSVD(left, right).s.reversed().reduce(0) { $0 + $1 * $1 }.squareRoot()
  }
}
