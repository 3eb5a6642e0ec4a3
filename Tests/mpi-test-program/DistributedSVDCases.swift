import COpenBLAS
import DistributedLinearAlgebra
import LinearAlgebra
import MPI
import TestSupport

/// A matrix of a test and how it is cut.
private struct Problem: ~Copyable {
  let name: String
  let matrix: Matrix<Float>
  var blockLength = 64
  var panelElementCount = 1 << 22
  var vectorPanelLength = 256

  var isWide: Bool { matrix.columnCount > matrix.rowCount }
  var shortLength: Int { min(matrix.rowCount, matrix.columnCount) }

  /// Uneven parts of the long side: twice as long for odd ranks, so that nothing is aligned with anything.
  func range(_ world: borrowing Communicator) -> Range<Int> {
    let weights = (0..<world.size).map { $0 % 2 + 1 }
    let length = max(matrix.rowCount, matrix.columnCount)
    let cuts = (0...world.size).map { length * weights.prefix($0).reduce(0, +) / weights.reduce(0, +) }
    return cuts[world.rank]..<cuts[world.rank + 1]
  }

  func slab(_ world: borrowing Communicator) -> Matrix<Float> {
    copy(isWide ? matrix.view.columns(range(world)) : matrix.view.rows(range(world)))
  }
}

/// All triplets of matrices of all shapes: ScaLAPACK's ratios, and σ against LAPACK in double precision.
func exactSVD(_ world: borrowing Communicator) throws {
  let noise = TestMatrices.noise(rows: 200, columns: 200)
  try checkExact(Problem(name: "square", matrix: noise), world)
  try checkExact(Problem(name: "tall", matrix: TestMatrices.noise(rows: 300, columns: 100)), world)
  try checkExact(Problem(name: "wide", matrix: TestMatrices.noise(rows: 90, columns: 301)), world)
  let small = TestMatrices.noise(rows: 70, columns: 50)
  try checkExact(Problem(name: "small blocks", matrix: small, blockLength: 4), world)
  let several = TestMatrices.noise(rows: 620, columns: 530)
  try checkExact(Problem(name: "several panels of rows", matrix: several), world)
  for count in [1, 1000, 7000] {
    let matrix = TestMatrices.noise(rows: 150, columns: 140)
    try checkExact(
      Problem(name: "panels of \(count)", matrix: matrix, blockLength: 16, panelElementCount: count), world)
  }
}

/// Numerically rank-deficient matrices: what is missing is completed, and σ does not invent energy.
func exactSVDOfDeficient(_ world: borrowing Communicator) throws {
  let low = TestMatrices.withSpectrum([4, 3, 2, 1], rows: 120, columns: 80)
  try checkExact(Problem(name: "low rank", matrix: low), world)
  let again = TestMatrices.withSpectrum([4, 3, 2, 1], rows: 100, columns: 100)
  try checkExact(Problem(name: "low rank by 8", matrix: again, vectorPanelLength: 8), world)
  let zero = Matrix<Float>(repeating: 0, rows: 30, columns: 20)
  try checkExact(Problem(name: "zero", matrix: zero), world)
  let equal = Matrix<Float>(repeating: 0.5, rows: 64, columns: 130)
  try checkExact(Problem(name: "equal entries", matrix: equal), world)
  var identity = Matrix<Float>(repeating: 0, rows: 96, columns: 96)
  for index in 0..<96 { identity[index, index] = 1 }
  try checkExact(Problem(name: "identity", matrix: identity), world)
}

/// Signs and random completions do not depend on how the long side is cut, nor on who has nothing of it.
func exactSVDOfAnyCut(_ world: borrowing Communicator) throws {
  // All entries of the left vector tie: the first of them counts.
  let column = Problem(name: "ties", matrix: Matrix([-1, 1, 1, 1, 1, -1, 1, 1, 1], rows: 9, columns: 1))
  let signs = [1, -1, -1, -1, -1, 1, -1, -1, -1].map { Double($0) / 3 }
  try expectClose(gatheredLongRows(column.slab(world), of: column, world), signs, "ties")

  let zero = Problem(name: "zero", matrix: Matrix(repeating: 0, rows: 30, columns: 20))
  let cut = try gatheredLongRows(zero.slab(world), of: zero, world)
  let whole = Matrix<Float>(repeating: 0, rows: world.rank == world.size - 1 ? 30 : 0, columns: 20)
  try expectClose(gatheredLongRows(whole, of: zero, world), cut, "completions")
}

private func gatheredLongRows(
  _ slab: borrowing Matrix<Float>, of problem: borrowing Problem, _ world: borrowing Communicator
) throws -> [Double] {
  let svd = try DistributedSVD(slab: slab, isWide: problem.isWide, over: world)
  let length = max(problem.matrix.rowCount, problem.matrix.columnCount)
  var all = [Double](repeating: 0, count: svd.rank * length)
  for row in 0..<svd.rank {
    for column in 0..<svd.longRows.columnCount {
      all[row * length + svd.firstLongIndex + column] = Double(svd.longRows[row, column])
    }
  }
  return try world.allReduce(all, .sum)
}

private func expectClose(_ found: [Double], _ expected: [Double], _ what: String) throws {
  try expectEqual(found.count, expected.count, "\(what): entries")
  for (index, pair) in zip(found, expected).enumerated() where abs(pair.0 - pair.1) > 1e-6 {
    throw CaseFailure("\(what): entry \(index) is \(pair.0), expected \(pair.1)")
  }
}

/// σ from 1 to 1e-6, and the same far from 1: right to single precision relative to σ₁.
func exactSVDOfGraded(_ world: borrowing Communicator) throws {
  let spectrum = (0..<100).map { index in pow10(-6 * Double(index) / 99) }
  try checkExact(
    Problem(name: "graded", matrix: TestMatrices.withSpectrum(spectrum, rows: 160, columns: 100)), world)
  // As many again just above the rounding of single precision, where images are half noise.
  let tail = spectrum + [Double](repeating: 3e-7, count: 60)
  for length in [8, 64] {
    let matrix = TestMatrices.withSpectrum(tail, rows: 160, columns: 170)
    try checkExact(Problem(name: "tail by \(length)", matrix: matrix, vectorPanelLength: length), world)
  }
  for scale: Float in [0x1p-120, 0x1p120] {
    var matrix = TestMatrices.withSpectrum(spectrum, rows: 100, columns: 160)
    matrix.withMutableElements { elements in for index in elements.indices { elements[index] *= scale } }
    try checkExact(Problem(name: "graded, times \(scale)", matrix: matrix), world)
  }
  // Subnormal entries, and a norm beyond the range of the entries' type.
  var least = TestMatrices.noise(rows: 60, columns: 40)
  least.withMutableElements { elements in for index in elements.indices { elements[index] *= 0x1p-140 } }
  try checkExact(Problem(name: "subnormal", matrix: least), world)
  let most = Matrix<Float>(repeating: 0x1p127, rows: 64, columns: 130)
  try checkExact(Problem(name: "near the end of the range", matrix: most), world)
}

/// Matrices of one block or less, and of fewer blocks than ranks.
func exactSVDOfTiny(_ world: borrowing Communicator) throws {
  let none = try DistributedSVD(
    slab: Matrix<Float>(repeating: 0, rows: 5, columns: 0), isWide: false, over: world)
  try expectEqual(none.rank, 0, "triplets of a matrix without columns")
  for (rows, columns) in [(1, 1), (1, 5), (7, 1), (2, 2), (3, 40), (65, 65), (64, 64)] {
    let matrix = TestMatrices.noise(rows: rows, columns: columns)
    try checkExact(Problem(name: "\(rows) × \(columns)", matrix: matrix), world)
    let again = TestMatrices.noise(rows: rows, columns: columns)
    try checkExact(Problem(name: "\(rows) × \(columns) by 2", matrix: again, blockLength: 2), world)
  }
}

/// A truncated result is the head of the full one, and stops at the numerical rank; on a communicator of its own.
func exactSVDTruncated(_ world: borrowing Communicator) throws {
  let own = try world.duplicate()
  try exactSVDTruncatedOnCopy(own)
  try own.free()
}

private func exactSVDTruncatedOnCopy(_ world: borrowing Communicator) throws {
  let problem = Problem(name: "truncated", matrix: TestMatrices.noise(rows: 150, columns: 90))
  let slab = problem.slab(world)
  let full = try DistributedSVD(slab: slab, isWide: false, over: world)
  let head = try DistributedSVD(slab: slab, isWide: false, options: .init(rank: 7), over: world)
  try expectEqual(head.rank, 7, "triplets")
  try expectEqual(head.values, full.values, "values")
  try expectEqual(head.shortRows.elements, full.shortRows.firstRows(7).elements, "short side")
  try expectEqual(head.longRows.shape.columnCount, slab.rowCount, "this rank's part")
  for (found, expected) in zip(head.longRows.elements, full.longRows.firstRows(7).elements) {
    guard abs(found - expected) < 1e-6 else { throw CaseFailure("long side: \(found), expected \(expected)") }
  }
  let low = Problem(
    name: "low", matrix: TestMatrices.withSpectrum([4, 3, 2, 1], rows: 120, columns: 80))
  let lowSlab = low.slab(world)
  let kept = try DistributedSVD(slab: lowSlab, isWide: false, options: .init(rank: 9), over: world)
  try expectEqual(kept.rank, kept.numericalRank, "triplets of a matrix of low rank")
}

/// What cannot be decomposed is refused by every rank with the same sentence.
func exactSVDRefusals(_ world: borrowing Communicator) throws {
  let own = Matrix<Float>(repeating: 1, rows: 3, columns: world.rank == 0 ? 2 : 3)
  if world.size > 1 {
    try expectRefusal("ranks hold parts of matrices with short sides from 2 to 3; one matrix has one") {
      _ = try DistributedSVD(slab: own, isWide: false, over: world)
    }
  }
  let flat = Matrix<Float>(repeating: 1, rows: world.rank == 0 ? 3 : 0, columns: 5)
  try expectRefusal(
    "the short side has 5 entries and the long one 3; split the matrix along its longer side"
  ) {
    _ = try DistributedSVD(slab: flat, isWide: false, over: world)
  }
  let bad = Matrix<Float>(repeating: world.rank == 0 ? .nan : 1, rows: 3, columns: 2)
  try expectRefusal("the matrix has NaN or infinite entries on 1 rank") {
    _ = try DistributedSVD(slab: bad, isWide: false, over: world)
  }
}

/// PSGESVD within the same bounds.
func referenceSVD(_ world: borrowing Communicator) throws {
  for (rows, columns, block) in [(100, 100, 16), (150, 60, 16), (60, 150, 16), (40, 40, 64), (1, 3, 4)] {
    let problem = Problem(
      name: "psgesvd \(rows) × \(columns)", matrix: TestMatrices.noise(rows: rows, columns: columns))
    let svd = try ReferenceSVD(of: problem.matrix, blockLength: block, over: world)
    let slab = problem.slab(world)
    let long = (problem.isWide ? svd.rightRows.view : svd.leftRows.view).columns(problem.range(world))
    let short = problem.isWide ? svd.leftRows.view : svd.rightRows.view
    let ratios = try SVDRatios(
      slab: slab, isWide: problem.isWide, values: svd.values, longRows: copy(long), shortRows: copy(short),
      over: world)
    guard ratios.worst < 20 else { throw CaseFailure("\(problem.name): \(ratios)") }
    // Single precision throughout: the bound grows with n·ulp.
    try expectValues(svd.values, of: problem) { _ in 2e-5 }
  }
}

private func checkExact(_ problem: borrowing Problem, _ world: borrowing Communicator) throws {
  let slab = problem.slab(world)
  var options = DistributedSVD.Options(blockLength: problem.blockLength)
  options.panelElementCount = problem.panelElementCount
  options.vectorPanelLength = problem.vectorPanelLength
  let svd = try DistributedSVD(slab: slab, isWide: problem.isWide, options: options, over: world)
  try expectEqual(svd.rank, problem.shortLength, "\(problem.name): triplets")
  let ratios = try SVDRatios(
    slab: slab, isWide: problem.isWide, values: svd.values, longRows: svd.longRows,
    shortRows: svd.shortRows, over: world)
  // ScaLAPACK's own bound is 20, which lets four lost digits pass at these sizes.
  guard ratios.worst < 3 else { throw CaseFailure("\(problem.name): \(ratios)") }
  // The eigenvalues are right to 1e-14·σ₁² and better, which a small σ feels as 1e-14·σ₁²/σ.
  try expectValues(svd.values, of: problem) { min(4e-8, 1e-14 / max($0, 1e-30)) }
  try expectPositiveLargest(svd, problem.name, world)
}

/// σ against dgesdd within a fraction of σ₁ that may depend on σ/σ₁.
private func expectValues(
  _ found: [Double], of problem: borrowing Problem, tolerance: (Double) -> Double
) throws {
  let expected = denseValues(problem.matrix)
  try expectEqual(found.count, expected.count, "\(problem.name): values")
  for (index, pair) in zip(found, expected).enumerated() {
    let allowed = expected[0] == 0 ? 0 : tolerance(pair.1 / expected[0]) * expected[0]
    guard abs(pair.0 - pair.1) <= allowed else {
      throw CaseFailure("\(problem.name): value \(index) is \(pair.0), expected \(pair.1) within \(allowed)")
    }
  }
}

private func expectPositiveLargest(
  _ svd: borrowing DistributedSVD, _ name: String, _ world: borrowing Communicator
) throws {
  // The largest and the least entry of each left vector, over all ranks where it is cut.
  let own = svd.isWide ? svd.shortRows.view : svd.longRows.view
  let largest = try world.allReduce(
    (0..<svd.rank).map { row in own.row(row).reduce(0.0) { max($0, Double($1)) } }, .max)
  let least = try world.allReduce(
    (0..<svd.rank).map { row in own.row(row).reduce(0.0) { min($0, Double($1)) } }, .min)
  for row in 0..<svd.rank where largest[row] < -least[row] {
    throw CaseFailure("\(name): left vector \(row) has entries from \(least[row]) to \(largest[row])")
  }
}

private func expectRefusal(_ sentence: String, _ body: () throws -> Void) throws {
  do {
    try body()
  } catch let error as DistributedSVDError {
    return try expectEqual(error.description, sentence, "refusal")
  }
  throw CaseFailure("accepted, expected: \(sentence)")
}

private func denseValues(_ matrix: borrowing Matrix<Float>) -> [Double] {
  var work = matrix.elements.map { Double($0) }
  let (rows, columns) = (Int32(matrix.rowCount), Int32(matrix.columnCount))
  var values = [Double](repeating: 0, count: Int(min(rows, columns)))
  var left = 0.0
  var right = 0.0
  LAPACKE_dgesdd(LAPACK_COL_MAJOR, 78, columns, rows, &work, columns, &values, &left, 1, &right, 1)
  return values
}

private func copy(_ block: MatrixView<Float>) -> Matrix<Float> {
  let result = Matrix<Float>(uninitializedRows: block.rowCount, columns: block.columnCount)
  result.view.copy(from: block)
  return result
}

private func pow10(_ exponent: Double) -> Double { TestMatrices.powerLaw(-exponent, count: 10)[9] }
