/// One tensor's entry of a header, its fields checked by themselves.
struct HeaderEntry {
  let name: String
  let elementType: ElementType
  let shape: [Int]
  /// Relative to the first byte after the header.
  let begin: Int
  let end: Int

  init(_ name: String, _ value: StrictJSON, path: String) throws {
    func problem(_ text: String) -> CheckpointError {
      .malformedTensor(path: path, tensor: name, problem: text)
    }
    guard case .object(let members) = value else { throw problem("is not described by an object") }
    let fields = Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.value) })
    for key in fields.keys.sorted() where !["dtype", "shape", "data_offsets"].contains(key) {
      throw problem("has the unknown field '\(key)'")
    }
    guard case .string(let typeName) = fields["dtype"] else { throw problem("has no dtype") }
    guard let elementType = ElementType(rawValue: typeName) else {
      throw problem("has the unknown dtype '\(typeName)'")
    }
    guard case .array(let dimensions) = fields["shape"] else { throw problem("has no shape") }
    guard let shape = counts(dimensions) else { throw problem("has a dimension that is no count") }
    guard case .array(let offsets) = fields["data_offsets"], let range = counts(offsets), range.count == 2
    else {
      throw problem("has no data_offsets of two counts")
    }
    guard range[0] <= range[1] else { throw problem("begins at byte \(range[0]) and ends at \(range[1])") }
    guard let bitCount = checkedProduct(shape + [elementType.bitWidth]) else {
      throw problem("has shape \(shape), whose size exceeds 2⁶³ bits")
    }
    guard bitCount % 8 == 0 else { throw problem("has \(bitCount) bits, no whole number of bytes") }
    guard bitCount / 8 == range[1] - range[0] else {
      throw problem(
        "declares \(range[1] - range[0]) bytes, but shape \(shape) of \(typeName) needs \(bitCount / 8)")
    }
    self.name = name
    self.elementType = elementType
    self.shape = shape
    begin = range[0]
    end = range[1]
  }
}

func parseMetadata(_ value: StrictJSON, path: String) throws -> [String: String] {
  // The reference implementation accepts null, and published files have it.
  if case .null = value { return [:] }
  guard case .object(let members) = value else {
    throw CheckpointError.malformedHeader(path: path, problem: "__metadata__ is no object")
  }
  return try Dictionary(
    uniqueKeysWithValues: members.map { key, value in
      guard case .string(let text) = value else {
        throw CheckpointError.malformedHeader(path: path, problem: "__metadata__ '\(key)' is no string")
      }
      return (key, text)
    })
}

/// Places the tensors in the file: without hole, without overlap, and to its last byte.
func locate(_ entries: [HeaderEntry], dataStart: Int, fileSize: Int, path: String) throws -> [TensorLocation]
{
  let sorted = entries.sorted { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }
  var position = 0
  for entry in sorted {
    guard entry.begin == position else {
      throw CheckpointError.malformedTensor(
        path: path, tensor: entry.name,
        problem: "begins at byte \(entry.begin) of the data, "
          + (entry.begin < position
            ? "inside the one before, which ends" : "leaving a gap after the one that ends")
          + " at \(position)")
    }
    position = entry.end
  }
  guard position <= fileSize - dataStart else {
    throw CheckpointError.malformedHeader(
      path: path,
      problem: "the tensors need \(position) bytes after the header, but the file has "
        + "\(fileSize - dataStart); it is cut short")
  }
  guard position == fileSize - dataStart else {
    throw CheckpointError.malformedHeader(
      path: path, problem: "\(fileSize - dataStart - position) bytes follow the last tensor")
  }
  return sorted.map { entry in
    TensorLocation(
      name: entry.name, elementType: entry.elementType, shape: entry.shape, filePath: path,
      fileSize: fileSize,
      offset: dataStart + entry.begin, byteCount: entry.end - entry.begin)
  }
}

/// Non-negative integers without sign, fraction or exponent; nil for anything else.
private func counts(_ values: [StrictJSON]) -> [Int]? {
  var counts: [Int] = []
  for value in values {
    guard case .number(let digits) = value, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let count = Int(digits)
    else { return nil }
    counts.append(count)
  }
  return counts
}

private func checkedProduct(_ factors: [Int]) -> Int? {
  // A zero anywhere is a product of zero, whatever the others would give.
  if factors.contains(0) { return 0 }
  var product = 1
  for factor in factors {
    let (next, overflows) = product.multipliedReportingOverflow(by: factor)
    if overflows { return nil }
    product = next
  }
  return product
}
