internal import LinearAlgebra

/// What every selection of a module's triplets leaves of its difference, known without the difference.
///
/// With E = Δ − B·A for all K triplets as they were rounded, a selection that leaves out the triplets D leaves
/// ‖E + Σ_D bᵢaᵢ‖² = ‖E‖² + 2·Σ_D bᵢᵀEaᵢ + Σ_D Σ_D (bᵢ·bⱼ)(aᵢ·aⱼ). Adding to the residual, rather than taking
/// from ‖Δ‖², leaves no cancellation: what is left is right to 1e-7·‖Δ‖, as where a single-precision difference is
/// formed entry by entry, in squares a relative 1e-5 of a residual of 2 %; and leaving nothing out gives the explicit
/// sum to the bit. Prefixes are selections, since the square root of each σ stays with its own triplet.
public struct SelectionCertificate: Sendable, Equatable {
  /// ‖E‖², what all triplets together leave.
  public let residualEnergy: Double
  /// bᵢᵀ·E·aᵢ of each triplet.
  private let projections: [Double]
  /// (bᵢ·bⱼ)(aᵢ·aⱼ) for j ≤ i, row after row.
  private let products: [Double]

  /// How many triplets there are.
  public var count: Int { projections.count }

  /// A certificate of rounded factors.
  ///
  /// - Parameters:
  ///   - sums: ‖E‖² and then each triplet's bᵢᵀ·E·aᵢ (`residualProjections`).
  ///   - left: One factor, a triplet a column.
  ///   - right: The other, a triplet a row.
  init(sums: [Double], left: borrowing Matrix<Float>, right: borrowing Matrix<Float>) {
    precondition(sums.count == 1 + right.rowCount, "one sum for the residual and one a triplet")
    residualEnergy = sums[0]
    projections = Array(sums.dropFirst())
    let leftGram = gramMatrix(left.view.transposed)
    let rightGram = gramMatrix(right.view)
    var products: [Double] = []
    products.reserveCapacity(sums.count * right.rowCount / 2)
    for row in 0..<right.rowCount {
      for column in 0...row { products.append(leftGram[row, column] * rightGram[row, column]) }
    }
    self.products = products
  }

  /// All its numbers, eight bytes each: text would take longer than finding them did.
  public var encoded: [UInt8] {
    storedBytes(of: [residualEnergy] + projections + products)
  }

  /// The certificate of so many triplets that these bytes were made of.
  ///
  /// - Parameters:
  ///   - bytes: As many as there must be.
  ///   - count: How many triplets there are.
  public init(decoding bytes: ArraySlice<UInt8>, count: Int) {
    precondition(bytes.count == 8 * (1 + count + count * (count + 1) / 2), "a certificate of another length")
    let numbers = numbers(ofStored: bytes)
    residualEnergy = numbers[0]
    projections = Array(numbers[1..<1 + count])
    products = Array(numbers[(1 + count)...])
  }

  /// ‖Δ − Σ bᵢaᵢ‖² over some triplets, given by their numbers in ascending order.
  public func residualEnergy(keeping kept: [Int]) -> Double {
    let isKept = Set(kept)
    let dropped = (0..<count).filter { !isKept.contains($0) }
    var sum = residualEnergy
    for (position, index) in dropped.enumerated() {
      let row = index * (index + 1) / 2
      var crossed = projections[index]
      for other in dropped[..<position] { crossed += products[row + other] }
      sum += 2 * crossed + products[row + index]
    }
    // A NaN is no energy of zero.
    return sum < 0 ? 0 : sum
  }
}
