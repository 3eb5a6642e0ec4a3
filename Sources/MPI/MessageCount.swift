/// The one place where Swift's counts become MPI's 32-bit ones, and where long data is cut into parts.
enum MessageCount {
  /// Bytes of one MPI call unless a communicator says otherwise: 1 GiB, half of what a 32-bit count allows.
  ///
  /// The first part of a long message carries `lengthByteCount` bytes more.
  static let defaultPartByteCount = 1 << 30

  /// Bytes of the length that opens a message in parts.
  static let lengthByteCount = 8

  /// The count as MPI wants it.
  ///
  /// - Throws: An `MPIError` in the name of `function` for counts beyond 2³¹ − 1, which `MPI_INT` cannot hold.
  static func checked(_ count: Int, function: String, label: CommunicatorLabel) throws(MPIError) -> Int32 {
    guard count >= 0, let narrowed = Int32(exactly: count) else {
      throw MPIError(
        function: function, code: -1, text: "count \(count) is outside MPI's range 0...\(Int32.max)",
        label: label)
    }
    return narrowed
  }

  /// Consecutive ranges of at most `partLength` that cover `range`; none for an empty one.
  static func parts(of range: Range<Int>, partLength: Int) -> [Range<Int>] {
    stride(from: range.lowerBound, to: range.upperBound, by: partLength).map { start in
      start..<min(range.upperBound, start + partLength)
    }
  }
}
