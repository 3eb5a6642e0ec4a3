import CMPI

// A message of at most `partByteCount` bytes is one MPI message of exactly those bytes. Up to 256 bytes, Open
// MPI hands it over even to a rank that is not inside MPI.
//
// A longer one is several MPI messages of the same source and tag, whose order MPI keeps. The first holds the
// length (8 bytes, little-endian) and the first `partByteCount` bytes: being longer than a part is what marks
// it. The others hold a part each.

extension Communicator {
  /// Starts to send a message and returns before it has left.
  ///
  /// Messages from one rank to another with one tag arrive whole and in the order they were sent. The bytes
  /// are copied, so the caller's may change.
  ///
  /// - Parameters:
  ///   - bytes: Of any length, also none and beyond 2³¹.
  ///   - destination: The receiving rank; may be this one.
  ///   - tag: 0 to 32767, what MPI guarantees.
  /// - Returns: The send in flight, to be waited for or put into an `Outbox`.
  /// - Throws: An `MPIError` if MPI refuses, for instance an unknown rank.
  public func send(_ bytes: [UInt8], to destination: Int, tag: Int) throws(MPIError) -> PendingSend {
    let function = "MPI_Isend"
    let target = try MessageCount.checked(destination, function: function, label: label)
    let narrowTag = try checkedTag(tag, function: function)
    let isInParts = bytes.count > partByteCount
    let prefix = isInParts ? MessageCount.lengthByteCount : 0
    var pending = PendingSend(prefixByteCount: prefix, bytes: bytes, label: label)

    // An empty message is still a message: it has one part.
    let firstEnd = isInParts ? prefix + partByteCount : pending.byteCount
    let parts =
      [0..<firstEnd]
      + MessageCount.parts(of: firstEnd..<pending.byteCount, partLength: partByteCount)
    for part in parts {
      let count = try MessageCount.checked(part.count, function: function, label: label)
      try pending.start(part, count: count, to: target, tag: narrowTag, on: handle)
    }
    return pending
  }

  /// Looks for a message without waiting for one.
  ///
  /// - Parameter tag: Only messages with this tag; nil for any.
  /// - Returns: The earliest message MPI has to offer, or nil if none has arrived.
  /// - Throws: An `MPIError` if MPI reports one.
  public func arrived(tag: Int? = nil) throws(MPIError) -> Envelope? {
    let function = "MPI_Iprobe"
    var wantedTag = cmpi_any_tag()
    if let tag { wantedTag = try checkedTag(tag, function: function) }
    var flag: Int32 = 0
    var status = MPI_Status()
    // Open MPI's matching layer looks first and moves messages afterwards: one look sees a message that is
    // there only at the next poll. The second look follows the first one's progress.
    for _ in 0..<2 where flag == 0 {
      try label.check(function, MPI_Iprobe(cmpi_any_source(), wantedTag, handle, &flag, &status))
    }
    guard flag != 0 else { return nil }
    var count: Int32 = 0
    try label.check("MPI_Get_count", MPI_Get_count(&status, cmpi_byte(), &count))
    return Envelope(
      source: Int(status.MPI_SOURCE), tag: Int(status.MPI_TAG),
      byteCount: Int(count) > partByteCount ? nil : Int(count))
  }

  /// Receives the whole message that was found, waiting for the rest of it if it is long.
  ///
  /// - Parameter envelope: What `arrived` returned last for its source and tag; it is used up by this.
  /// - Returns: The bytes that were sent.
  /// - Throws: An `MPIError` if MPI reports one.
  public func receive(_ envelope: Envelope) throws(MPIError) -> [UInt8] {
    if let byteCount = envelope.byteCount {
      var bytes = [UInt8](repeating: 0, count: byteCount)
      try receive(into: &bytes, bytes.indices, envelope)
      return bytes
    }
    let prefix = MessageCount.lengthByteCount
    var first = [UInt8](repeating: 0, count: prefix + partByteCount)
    try receive(into: &first, first.indices, envelope)
    let length = first.withUnsafeBytes { buffer in
      Int64(littleEndian: buffer.loadUnaligned(as: Int64.self))
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(length))
    bytes += first.dropFirst(prefix)
    first = []
    bytes += repeatElement(0, count: Int(length) - bytes.count)
    for part in MessageCount.parts(of: partByteCount..<bytes.count, partLength: partByteCount) {
      try receive(into: &bytes, part, envelope)
    }
    return bytes
  }

  /// Receives one MPI message into a range of the bytes.
  private func receive(into bytes: inout [UInt8], _ range: Range<Int>, _ envelope: Envelope) throws(MPIError)
  {
    let function = "MPI_Recv"
    let count = try MessageCount.checked(range.count, function: function, label: label)
    let source = try MessageCount.checked(envelope.source, function: function, label: label)
    let tag = try checkedTag(envelope.tag, function: function)
    try label.check(
      function,
      bytes.withUnsafeMutableBytes { buffer in
        MPI_Recv(
          buffer.baseAddress?.advanced(by: range.lowerBound), count, cmpi_byte(), source, tag, handle,
          cmpi_status_ignore())
      })
  }

  private func checkedTag(_ tag: Int, function: String) throws(MPIError) -> Int32 {
    guard (0...32767).contains(tag) else {
      throw MPIError(
        function: function, code: -1, text: "tag \(tag) is outside MPI's guaranteed range 0...32767",
        label: label)
    }
    return Int32(tag)
  }
}
