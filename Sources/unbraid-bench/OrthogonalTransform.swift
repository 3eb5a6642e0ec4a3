import Foundation
import LinearAlgebra

/// A random orthogonal matrix that multiplies n numbers in n·log n operations.
///
/// Two rounds of random signs and a fixed transform: after one round the image of a unit vector still has entries
/// of one size only. The transform of a length p·2^q with p odd is the Kronecker product of the p × p Hartley
/// matrix, whose entries are cos + sin, with the Walsh-Hadamard matrix of order 2^q.
struct OrthogonalTransform {
  let length: Int
  private let oddFactor: Int
  /// A sign for each index, over the square root of the length.
  private let rounds: [[Float]]
  private let hartley: [Float]

  /// Larger odd factors would cost more than all the rest.
  private static let largestOddFactor = 512

  init(length: Int, random: CounterRandom) throws {
    let odd = length >> length.trailingZeroBitCount
    guard length > 0, odd <= Self.largestOddFactor else { throw LengthError(length: length, oddFactor: odd) }
    self.length = length
    oddFactor = odd
    let scale = 1 / Float(length).squareRoot()
    let draws = Matrix<Float>(uniform: random, rows: 2, columns: length)
    rounds = (0..<2).map { round in draws.view.row(round).map { $0 < 0 ? -scale : scale } }
    hartley = (0..<odd * odd).map { index in
      let angle = 2 * Double.pi * Double((index / odd) * (index % odd) % odd) / Double(odd)
      return Float(cos(angle) + sin(angle))
    }
  }

  /// Replaces every column of a block by its image; the rows lie one after the other.
  func apply(to columns: MatrixView<Float>) {
    precondition(columns.rowCount == length && columns.stride == columns.columnCount)
    let segment = length / oddFactor
    for signs in rounds {
      for row in 0..<length { columns.scaleRow(row, by: signs[row]) }
      for start in stride(from: 0, to: length, by: segment) {
        walshHadamard(columns.rows(start..<start + segment))
      }
      if oddFactor > 1 { mixSegments(of: columns, segment: segment) }
    }
  }

  private func walshHadamard(_ block: MatrixView<Float>) {
    var half = 1
    while half < block.rowCount {
      for start in stride(from: 0, to: block.rowCount, by: 2 * half) {
        let upper = block.rows(start..<start + half).elements
        let lower = block.rows(start + half..<start + 2 * half).elements
        for index in upper.indices {
          let (first, second) = (upper[index], lower[index])
          upper[index] = first + second
          lower[index] = first - second
        }
      }
      half *= 2
    }
  }

  /// The Hartley matrix over the segments: entries at equal places of all segments are mixed.
  private func mixSegments(of columns: MatrixView<Float>, segment: Int) {
    let gathered = Matrix<Float>(uninitializedRows: oddFactor, columns: columns.columnCount)
    for offset in 0..<segment {
      for part in 0..<oddFactor {
        gathered.view.rows(part..<part + 1).copy(
          from: columns.rows(part * segment + offset..<part * segment + offset + 1))
      }
      for part in 0..<oddFactor {
        let target = columns.row(part * segment + offset)
        target.update(repeating: 0)
        for source in 0..<oddFactor {
          let (weight, entries) = (hartley[part * oddFactor + source], gathered.view.row(source))
          for index in target.indices { target[index] += weight * entries[index] }
        }
      }
    }
  }
}

/// A length that no fast transform is known for here.
struct LengthError: Error, CustomStringConvertible {
  let length: Int
  let oddFactor: Int

  var description: String {
    "a side of \(length) has the odd factor \(oddFactor); give one whose odd factor is 512 at most, such as 4096"
  }
}
