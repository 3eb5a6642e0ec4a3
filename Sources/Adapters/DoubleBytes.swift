/// Numbers in double precision as F64 is stored: eight bytes each, the lowest first.
func storedBytes(of numbers: some Sequence<Double>) -> [UInt8] {
  var bytes: [UInt8] = []
  for number in numbers {
    let pattern = number.bitPattern
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: pattern >> shift))
    }
  }
  return bytes
}

/// The numbers that such bytes stand for.
func numbers(ofStored bytes: ArraySlice<UInt8>) -> [Double] {
  stride(from: bytes.startIndex, to: bytes.endIndex, by: 8).map { start in
    var pattern: UInt64 = 0
    for offset in 0..<8 { pattern |= UInt64(bytes[start + offset]) << UInt64(8 * offset) }
    return Double(bitPattern: pattern)
  }
}
