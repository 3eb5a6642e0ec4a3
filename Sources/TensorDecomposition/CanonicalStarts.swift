internal import LinearAlgebra

/// Where CP iterations of one tensor begin.
struct CanonicalStarts {
  private let tensor: DenseTensor
  private let rank: Int
  private let random: CounterRandom
  /// Leading left singular vectors of each unfolding as rows, as many as the mode has entries.
  private let bases: [SharedMatrix<Double>]

  init(_ tensor: DenseTensor, rank: Int, random: CounterRandom) throws {
    self.tensor = tensor
    self.rank = rank
    self.random = random
    bases = try tensor.shape.indices.map { mode in
      let eigen = try SymmetricEigen(lowerTriangle: tensor.gramMatrix(ofMode: mode), wantsVectors: true)
      return SharedMatrix(eigen.vectors.copy())
    }
  }

  /// One start; its number separates its random draws from those of all others.
  func start(_ kind: CanonicalPolyadic.Start, number: Int) throws -> KruskalTensor {
    let factors: [SharedMatrix<Double>]
    switch kind {
    case .random: factors = tensor.shape.indices.map { normals(mode: $0, number: number) }
    case .singularVectors: factors = singularVectors(number: number)
    case .pencil: factors = try pencil(number: number)
    }
    return KruskalTensor(weights: Array(repeating: 1, count: rank), factors: factors)
  }

  /// The two modes of the pencil: the longest.
  private var pencilModes: (rows: Int, columns: Int) {
    let order = tensor.shape.indices.sorted { (-tensor.shape[$0], $0) < (-tensor.shape[$1], $1) }
    return (order[0], order[1])
  }

  /// Whether two mixtures of slices determine the components: two modes with as many entries as components, and
  /// more than one slice.
  var allowsPencil: Bool {
    let modes = pencilModes
    let sides = tensor.shape[modes.rows] * tensor.shape[modes.columns]
    return min(tensor.shape[modes.rows], tensor.shape[modes.columns]) >= rank && tensor.count / sides > 1
  }

  private func normals(mode: Int, number: Int) -> SharedMatrix<Double> {
    SharedMatrix(
      Matrix(
        normal: random, rows: rank, columns: tensor.shape[mode], block: number * tensor.modeCount + mode))
  }

  /// The leading vectors of each mode; random ones where the mode has too few.
  private func singularVectors(number: Int) -> [SharedMatrix<Double>] {
    tensor.shape.indices.map { mode in
      let result = normals(mode: mode, number: number).matrix.copy()
      let known = min(rank, tensor.shape[mode])
      copyRows(of: bases[mode].matrix, count: known, into: result)
      return SharedMatrix(result)
    }
  }

  /// Jennrich's method (Harshman 1970; Leurgans, Ross and Abel 1993), exact for exact data.
  ///
  /// 1. Both longest modes are cut to R singular vectors, and the slices are mixed twice at random.
  /// 2. Left eigenvectors x of the two mixtures as a pencil are dual to the vectors of the first mode: contracted
  ///    with one of them the tensor is a single term.
  /// 3. The other modes' vectors are the best rank-one approximations of those; the first mode's follow.
  private func pencil(number: Int) throws -> [SharedMatrix<Double>] {
    let (rows, columns) = pencilModes
    let cut = tensor.modeProduct(rows, bases[rows].matrix.firstRows(rank))
    let square = cut.modeProduct(columns, bases[columns].matrix.firstRows(rank))
    let mixtures = (0..<2).map { half in SharedMatrix(mixture(of: square, rows, columns, half, number)) }
    let eigen = try GeneralizedEigen(mixtures[0].matrix, mixtures[1].matrix)
    let others = tensor.shape.indices.filter { $0 != rows }
    let terms = cut.modeProduct(rows, eigen.leftVectors).movingFirst(rows)
    var factors = tensor.shape.indices.map { normals(mode: $0, number: number) }
    for _ in 0..<4 {
      for (position, mode) in others.enumerated() {
        let found = contractComponents(terms.matrix, keeping: position, others.map { factors[$0] })
        let norms = found.rowNorms()
        factors[mode] = SharedMatrix(found.scalingRows(by: norms.map { $0 > 0 ? 1 / $0 : 0 }))
      }
    }
    var source = DenseSource(tensor)
    if let group = source.modeGroups.firstIndex(where: { $0.contains(rows) }) {
      source.prepare(group: group, factors: factors)
    }
    let vectors = source.mttkrp(mode: rows, factors: factors)
    let grams = others.map { SharedMatrix(rowProducts(factors[$0].matrix, factors[$0].matrix)) }
    solve(hadamard(grams, count: rank), ridge: 1e-10, vectors.view)
    factors[rows] = SharedMatrix(vectors)
    return factors
  }

  /// A random mixture of the slices, R × R.
  private func mixture(of tensor: DenseTensor, _ rows: Int, _ columns: Int, _ half: Int, _ number: Int)
    -> Matrix<Double>
  {
    var mixed = tensor
    for mode in tensor.shape.indices where mode != rows && mode != columns {
      // Far from the blocks of the factors.
      let block = 1 << 24 + (number * 2 + half) * tensor.modeCount + mode
      let weights = Matrix<Double>(normal: random, rows: 1, columns: tensor.shape[mode], block: block)
      mixed = mixed.modeProduct(mode, weights)
    }
    let result = Matrix(mixed.elements, rows: rank, columns: rank)
    return rows < columns ? result : result.transposed()
  }
}

extension DenseTensor {
  /// The unfolding of a mode: its entries as rows, the other modes in their order as columns.
  func movingFirst(_ mode: Int) -> SharedMatrix<Double> {
    let (left, own, right) = split(around: mode)
    let result = Matrix<Double>(uninitializedRows: own, columns: left * right)
    withElements { elements in
      let blocks = elements.reshaped(rows: left, columns: own * right)
      for index in 0..<own {
        let target = result.view.rows(index..<index + 1).reshaped(rows: left, columns: right)
        target.copy(from: blocks.columns(index * right..<(index + 1) * right))
      }
    }
    return SharedMatrix(result)
  }
}

private func copyRows(of source: borrowing Matrix<Double>, count: Int, into target: borrowing Matrix<Double>)
{
  target.view.rows(0..<count).copy(from: source.view.rows(0..<count))
}
