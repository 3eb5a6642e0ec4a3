internal import LinearAlgebra
public import MPI

/// The ranks that work on stacks together.
///
/// Holds a communicator of its own, since iterations over a stack are handed on as values; MPI frees it at its end.
public final class StackRanks {
  package let world: Communicator

  /// Collective: ranks that talk to each other apart from everything else.
  public init(duplicating world: borrowing Communicator) throws { self.world = try world.duplicate() }

  /// Collective: matrices that rank 0 makes, on every rank: what is small is computed once, so that ranks with
  /// other kernels work with the same bits.
  func fromFirst(_ make: () throws -> [SharedMatrix<Double>]) throws -> [SharedMatrix<Double>] {
    var numbers: [Double] = []
    if world.rank == 0 {
      for matrix in try make() {
        numbers += [Double(matrix.rowCount), Double(matrix.columnCount)] + matrix.matrix.elements
      }
    }
    // Adding zeros changes nothing.
    let count = Int(try world.allReduce([Double(numbers.count)], .max)[0])
    if numbers.isEmpty { numbers = [Double](repeating: 0, count: count) }
    numbers = try world.allReduce(numbers, .sum)
    var matrices: [SharedMatrix<Double>] = []
    var position = 0
    while position < numbers.count {
      let (rows, columns) = (Int(numbers[position]), Int(numbers[position + 1]))
      position += 2
      matrices.append(
        SharedMatrix(
          Matrix(Array(numbers[position..<position + rows * columns]), rows: rows, columns: columns)))
      position += rows * columns
    }
    return matrices
  }

  /// Collective: one number of rank 0's, on every rank.
  func fromFirst(_ number: Double) throws -> Double {
    try world.allReduce([world.rank == 0 ? number : 0], .sum)[0]
  }
}
