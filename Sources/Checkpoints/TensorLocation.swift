/// Where a tensor's bytes are: all that a rank needs to read it without parsing a header.
public struct TensorLocation: Sendable, Codable, Hashable {
  /// The tensor's name.
  public let name: String
  /// The type of its elements.
  public let elementType: ElementType
  /// Its dimensions, outermost first; empty for a scalar.
  public let shape: [Int]
  /// The file that holds it.
  public let filePath: String
  /// That file's size in bytes when its header was read.
  public let fileSize: Int
  /// Position of its first byte in the file.
  public let offset: Int
  /// Its size in bytes.
  public let byteCount: Int

  /// Describes a tensor whose bytes have been checked to lie inside the file.
  public init(
    name: String, elementType: ElementType, shape: [Int], filePath: String, fileSize: Int, offset: Int,
    byteCount: Int
  ) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.filePath = filePath
    self.fileSize = fileSize
    self.offset = offset
    self.byteCount = byteCount
  }

  /// The same bytes under another name.
  package func renamed(_ name: String) -> TensorLocation {
    TensorLocation(
      name: name, elementType: elementType, shape: shape, filePath: filePath, fileSize: fileSize,
      offset: offset, byteCount: byteCount)
  }

  /// The same bytes with other dimensions of the same product.
  package func reshaped(_ shape: [Int]) -> TensorLocation {
    precondition(shape.reduce(1, *) == elementCount, "the dimensions have another product")
    return TensorLocation(
      name: name, elementType: elementType, shape: shape, filePath: filePath, fileSize: fileSize,
      offset: offset, byteCount: byteCount)
  }

  /// One of the matrices that a tensor of three dimensions stacks.
  ///
  /// - Parameter index: Along the first dimension.
  /// - Returns: A matrix of the last two dimensions, named as NumPy would take it out: `name[index]`.
  package func slice(_ index: Int) -> TensorLocation {
    precondition(shape.count == 3 && (0..<shape[0]).contains(index), "the tensor stacks no such matrix")
    let sliceBytes = byteCount / shape[0]
    return TensorLocation(
      name: "\(name)[\(index)]", elementType: elementType, shape: Array(shape.dropFirst()),
      filePath: filePath,
      fileSize: fileSize, offset: offset + index * sliceBytes, byteCount: sliceBytes)
  }

  /// The number of elements; 1 for a scalar.
  public var elementCount: Int { shape.reduce(1, *) }

  /// Reads it whole.
  ///
  /// - Throws: `CheckpointError.shrunk` if the file is shorter by now, `.system` if the device fails.
  public func bytes() throws -> [UInt8] {
    try RandomAccessFile(path: filePath).bytes(offset..<offset + byteCount, of: name)
  }
}
