import LinearAlgebra
import TensorDecomposition
import Testing

@Suite struct DenseTensorTests {
  static let shapes = [[3, 4], [1, 5, 2], [4, 3, 5], [2, 3, 4, 3], [3, 2, 1, 4]]

  @Test("a mode product is its sum, in every mode, with a matrix and with a transpose", arguments: shapes)
  func modeProduct(shape: [Int]) {
    let tensor = PlantedTensor.noise(shape)
    for mode in shape.indices {
      let matrix = Matrix<Double>(normal: CounterRandom(seed: 2, name: "m"), rows: 3, columns: shape[mode])
      let result = tensor.modeProduct(mode, matrix)
      let other = tensor.modeProduct(mode, transposed: matrix.transposed())
      var target = shape
      target[mode] = 3
      #expect(result.shape == target && other.shape == target)
      let all = indices(of: shape)
      for (position, index) in indices(of: target).enumerated() {
        var sum = 0.0
        for (offset, source) in all.enumerated() {
          guard shape.indices.allSatisfy({ $0 == mode || source[$0] == index[$0] }) else { continue }
          sum += matrix[index[mode], source[mode]] * tensor.elements[offset]
        }
        #expect(abs(result.elements[position] - sum) < 1e-13)
        #expect(abs(other.elements[position] - sum) < 1e-13)
      }
    }
  }

  @Test("the Gram matrix of an unfolding is its sum, in every mode", arguments: shapes)
  func gram(shape: [Int]) {
    let tensor = PlantedTensor.noise(shape)
    let (all, elements) = (indices(of: shape), tensor.elements)
    for mode in shape.indices {
      let gram = tensor.gramMatrix(ofMode: mode)
      for row in 0..<shape[mode] {
        for column in 0...row {
          var sum = 0.0
          for (offset, index) in all.enumerated() where index[mode] == row {
            var partner = index
            partner[mode] = column
            let other = zip(partner, shape).reduce(0) { $0 * $1.1 + $1.0 }
            sum += elements[offset] * elements[other]
          }
          #expect(abs(gram[row, column] - sum) < 1e-12)
        }
      }
    }
  }

  @Test("norms, inner products, distances and slices are their definitions")
  func sums() {
    let (first, second) = (PlantedTensor.noise([3, 4, 2]), PlantedTensor.noise([3, 4, 2], seed: 2))
    let pairs = Array(zip(first.elements, second.elements))
    #expect(abs(first.squaredNorm - pairs.reduce(0) { $0 + $1.0 * $1.0 }) < 1e-12)
    #expect(abs(first.innerProduct(second) - pairs.reduce(0) { $0 + $1.0 * $1.1 }) < 1e-12)
    let distance = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    #expect(abs(first.squaredDistance(to: second) - distance) < 1e-12)
    for mode in 0..<3 {
      for index in 0..<first.shape[mode] {
        let slice = first.slice(mode: mode, index: index)
        let expected = indices(of: first.shape).enumerated().filter { $0.element[mode] == index }
          .map { first.elements[$0.offset] }
        #expect(slice.elements == expected)
      }
    }
    #expect(first[2, 1, 1] == first.elements[19])
  }

  @Test("the first entry that is not finite is found")
  func nonFinite() {
    var elements = PlantedTensor.noise([2, 3, 4]).elements
    #expect(DenseTensor(elements, shape: [2, 3, 4]).firstNonFinite() == nil)
    elements[17] = .infinity
    elements[23] = .nan
    #expect(DenseTensor(elements, shape: [2, 3, 4]).firstNonFinite() == [1, 1, 1])
  }
}
