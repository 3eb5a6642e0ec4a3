internal import LinearAlgebra
internal import WeightSources

extension FactorType {
  /// A factor as it is stored.
  ///
  /// - Parameters:
  ///   - factor: Any matrix.
  ///   - module: The module's path, for the error.
  /// - Returns: Its elements, row after row, rounded to the type.
  /// - Throws: `AdapterError.entryOverflow` if an entry leaves the range of the type.
  func encode(_ factor: borrowing Matrix<Float>, of module: String) throws -> [UInt8] {
    let bytes = elementType.encode(factor)
    let stored = elementType.decode(bytes, rows: factor.rowCount, columns: factor.columnCount)
    if let place = stored.firstNonFinite() {
      throw AdapterError.entryOverflow(
        module: module, factorType: self, largest: Double(factor[place.row, place.column]))
    }
    return bytes
  }
}
