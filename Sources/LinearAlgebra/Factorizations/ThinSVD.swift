internal import COpenBLAS

/// The factors of a matrix by LAPACK's divide and conquer, all min(m, n) triplets.
struct ThinSVD<Element: BitwiseCopyable & Sendable & ExpressibleByIntegerLiteral>: ~Copyable {
  /// m × min(m, n).
  let u: Matrix<Element>
  /// Descending.
  let s: [Element]
  /// min(m, n) × n.
  let vh: Matrix<Element>

  /// LAPACK's routine for one type of numbers, with the C interface's arguments.
  typealias Routine = (
    _ layout: Int32, _ job: CChar, _ rows: Int32, _ columns: Int32, _ matrix: UnsafeMutablePointer<Element>?,
    _ stride: Int32, _ values: UnsafeMutablePointer<Element>?, _ left: UnsafeMutablePointer<Element>?,
    _ leftStride: Int32, _ right: UnsafeMutablePointer<Element>?, _ rightStride: Int32
  ) -> Int32

  /// Decomposes a matrix of finite entries.
  init(of matrix: borrowing Matrix<Element>, by routine: Routine, name: String) throws(LAPACKError) {
    let (rows, columns) = matrix.shape
    let rank = min(rows, columns)
    var work = Matrix<Element>(uninitializedRows: rows, columns: columns)
    work.view.copy(from: matrix.view)
    var left = Matrix<Element>(uninitializedRows: rows, columns: rank)
    var right = Matrix<Element>(uninitializedRows: rank, columns: columns)
    var values = [Element](repeating: 0, count: rank)
    // LAPACK reads the row-major A as Aᵀ, whose left vectors in columns are the rows of Vᵀ, and the other
    // way round: both factors arrive as they are wanted.
    let info = work.withMutableElements { a in
      right.withMutableElements { leftOfTransposed in
        left.withMutableElements { rightOfTransposed in
          routine(
            LAPACK_COL_MAJOR, 83, blasInteger(columns), blasInteger(rows), a.baseAddress,
            blasInteger(max(1, columns)), &values, leftOfTransposed.baseAddress, blasInteger(max(1, columns)),
            rightOfTransposed.baseAddress, blasInteger(max(1, rank)))
        }
      }
    }
    try checkLAPACK(info, name, rows: rows, columns: columns)
    u = left
    s = values
    vh = right
  }
}
