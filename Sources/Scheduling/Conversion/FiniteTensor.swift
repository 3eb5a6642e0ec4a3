internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

extension TensorLocation {
  /// All its elements, the last dimension as columns.
  ///
  /// - Parameter reader: Whose open files are used.
  /// - Returns: They, in single precision.
  /// - Throws: `SourceError.notFinite` for a NaN or an infinity, `CheckpointError` if the file cannot be read.
  func readFiniteMatrix(with reader: DeltaReader) throws -> Matrix<Float> {
    let columns = shape.last ?? 1
    let rows = shape.dropLast().reduce(1, *)
    let matrix = elementType.decode(try reader.readBytes(self), rows: rows, columns: columns)
    if let place = matrix.firstNonFinite() {
      throw SourceError.notFinite(
        file: filePath, tensor: name, index: [place.row, place.column],
        value: "\(matrix[place.row, place.column])")
    }
    return matrix
  }
}
