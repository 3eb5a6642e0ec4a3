internal import DistributedLinearAlgebra
internal import LinearAlgebra
internal import TensorDecomposition

/// A streamed stack as the source of CP's products: two reads a sweep, with a dimension tree.
///
/// Modes are tuned (if there are several models), layer, out, in. The first read contracts every slice with the
/// vectors of the inputs, T_l = A_l·V, which serves outputs, layers and models; the second contracts with all of
/// those and serves the inputs. Collective throughout.
struct StackProducts: MTTKRPSource {
  let shape: [Int]
  let squaredNorm: Double
  let modeGroups: [[Int]]
  private let stack: SliceStack
  /// Tᵀ of each own slice, components × rows, after the first read.
  private let images = ImageStore()
  /// The product of the inputs' mode, after the second.
  private var inputs: SharedMatrix<Double>?
  /// For each slice, aᵣᵀ·A_l·bᵣ with the newest vectors of both sides; empty when the outputs' have changed.
  private var sliceProducts: [Double] = []

  private final class ImageStore {
    var values: [Int: SharedMatrix<Float>] = [:]
  }

  private var layerMode: Int { shape.count - 3 }
  private var outMode: Int { shape.count - 2 }
  private var inMode: Int { shape.count - 1 }

  init(_ stack: SliceStack) {
    self.stack = stack
    shape = stack.outerShape + [stack.rows, stack.columns]
    squaredNorm = stack.scaledEnergy
    let outer = Array((0..<shape.count - 2).reversed())
    modeGroups = [[shape.count - 2] + outer, [shape.count - 1]]
  }

  mutating func prepare(group: Int, factors: [SharedMatrix<Double>]) throws {
    if group == 0 { try contractInputs(factors[inMode]) } else { try contractOthers(factors) }
  }

  mutating func mttkrp(mode: Int, factors: [SharedMatrix<Double>]) throws -> Matrix<Double> {
    if mode == inMode {
      guard let inputs else { preconditionFailure("the inputs' group is not prepared") }
      return inputs.matrix.copy()
    }
    if mode == outMode { return try sumOfImages(factors) }
    return try outerProduct(mode, factors)
  }

  private mutating func contractInputs(_ inputs: SharedMatrix<Double>) throws {
    let narrow = inputs.matrix.narrowed()
    let columns = blockColumns(narrow.view)
    let rank = inputs.rowCount
    try stack.pass { index, slice in
      let products = SliceProducts(of: slice.matrix.view, right: columns.view, threadCount: stack.threadCount)
      guard let found = products.images else { return }
      let rows = Matrix<Float>(uninitializedRows: rank, columns: stack.rows)
      found.matrix.view.columns(0..<rank).transpose(into: rows.view)
      images.values[index] = SharedMatrix(rows)
    }
  }

  /// Σ_l w_l(r)·T_l(·, r).
  private mutating func sumOfImages(_ factors: [SharedMatrix<Double>]) throws -> Matrix<Double> {
    sliceProducts = []
    let sum = SliceSum(rows: factors[0].rowCount, columns: stack.rows, deal: stack.deal)
    for index in stack.ownSlices {
      guard let image = images.values[index] else { continue }
      let weights = sliceWeights(index, factors)
      sum.add(slice: index) { term in
        term.copy(from: image.matrix.view)
        for (row, weight) in weights.enumerated() { term.scaleRow(row, by: Float(weight)) }
      }
    }
    return try sum.total(over: stack.ranks.world).widened()
  }

  /// The products of the layers' or the models' mode, from one number a slice and component.
  private mutating func outerProduct(_ mode: Int, _ factors: [SharedMatrix<Double>]) throws -> Matrix<Double>
  {
    let rank = factors[0].rowCount
    if sliceProducts.isEmpty {
      sliceProducts = try stack.gathered(countPerSlice: rank) { index in
        guard let image = images.values[index] else { return [] }
        let wide = image.matrix.widened()
        let out = factors[outMode]
        return (0..<rank).map { row in
          innerProduct(wide.view.rows(row..<row + 1), out.matrix.view.rows(row..<row + 1))
        }
      }
    }
    var result = Matrix<Double>(repeating: 0, rows: rank, columns: shape[mode])
    for index in 0..<stack.sliceCount {
      let (tuned, layer) = (index / stack.layerCount, index % stack.layerCount)
      for row in 0..<rank {
        let value = sliceProducts[index * rank + row]
        if mode == layerMode {
          result[row, layer] += value * (layerMode > 0 ? factors[0].matrix[row, tuned] : 1)
        } else {
          result[row, tuned] += value * factors[layerMode].matrix[row, layer]
        }
      }
    }
    return result
  }

  /// Σ_l w_l(r)·A_lᵀ·u_r: the second read.
  private mutating func contractOthers(_ factors: [SharedMatrix<Double>]) throws {
    images.values = [:]
    let rank = factors[0].rowCount
    let narrow = factors[outMode].matrix.narrowed()
    let columns = blockColumns(narrow.view)
    let sum = SliceSum(rows: rank, columns: stack.columns, deal: stack.deal)
    try stack.pass { index, slice in
      let products = SliceProducts(of: slice.matrix.view, left: columns.view, threadCount: stack.threadCount)
      let weights = sliceWeights(index, factors)
      sum.add(slice: index) { term in
        guard let found = products.transposedImages else { return }
        term.copy(from: found.matrix.view.rows(0..<rank))
        for (row, weight) in weights.enumerated() { term.scaleRow(row, by: Float(weight)) }
      }
    }
    inputs = SharedMatrix(try sum.total(over: stack.ranks.world).widened())
  }

  /// What each component is multiplied by in a slice.
  private func sliceWeights(_ index: Int, _ factors: [SharedMatrix<Double>]) -> [Double] {
    let (tuned, layer) = (index / stack.layerCount, index % stack.layerCount)
    return (0..<factors[0].rowCount).map { row in
      factors[layerMode].matrix[row, layer] * (layerMode > 0 ? factors[0].matrix[row, tuned] : 1)
    }
  }
}
