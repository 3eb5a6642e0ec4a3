/// A factorisation that did not finish on finite data.
public enum LAPACKError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The iteration inside a LAPACK routine did not converge (`info` > 0).
  case notConverged(routine: String, rowCount: Int, columnCount: Int, info: Int)

  /// One sentence with the routine, the shape and what to try.
  public var description: String {
    switch self {
    case .notConverged(let routine, let rows, let columns, let info):
      "\(routine) did not converge on a \(rows) × \(columns) matrix (info \(info)); rerun with another --method"
    }
  }
}

/// Turns LAPACK's `info` into an error: negative is our own mistake, positive is the data's.
func checkLAPACK(_ info: Int32, _ routine: String, rows: Int, columns: Int) throws(LAPACKError) {
  if info < 0 { fatalError("\(routine): argument \(-info) has an illegal value (\(rows) × \(columns))") }
  if info > 0 {
    throw .notConverged(routine: routine, rowCount: rows, columnCount: columns, info: Int(info))
  }
}
