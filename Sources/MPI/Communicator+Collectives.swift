import CMPI

extension Communicator {
  /// Collective: returns once every rank has called it.
  ///
  /// - Throws: An `MPIError` if MPI reports one.
  public func barrier() throws(MPIError) {
    try label.check("MPI_Barrier", MPI_Barrier(handle))
  }

  /// Collective: gives every rank the bytes of one.
  ///
  /// - Parameters:
  ///   - bytes: Of any length, also beyond 2³¹; only the root's argument counts.
  ///   - root: The rank whose bytes they are, the same on every rank.
  /// - Returns: The root's bytes.
  /// - Throws: An `MPIError` if MPI reports one.
  public func broadcast(_ bytes: [UInt8], root: Int) throws(MPIError) -> [UInt8] {
    var length = Int64(bytes.count)
    let rootRank = try MessageCount.checked(root, function: "MPI_Bcast", label: label)
    try label.check("MPI_Bcast", MPI_Bcast(&length, 1, cmpi_int64(), rootRank, handle))
    var result = rank == root ? bytes : [UInt8](repeating: 0, count: Int(length))
    try broadcast(&result, rootRank: rootRank)
    return result
  }

  /// Collective: gives every rank the bytes of all, in the order of the ranks.
  ///
  /// - Parameter bytes: This rank's; lengths may differ between ranks and be zero.
  /// - Returns: One array a rank.
  /// - Throws: An `MPIError` if MPI reports one.
  /// - Complexity: One exchange if all bytes together fit a part, otherwise one broadcast a rank.
  public func allGather(_ bytes: [UInt8]) throws(MPIError) -> [[UInt8]] {
    var length = Int64(bytes.count)
    var lengths = [Int64](repeating: 0, count: size)
    try label.check(
      "MPI_Allgather", MPI_Allgather(&length, 1, cmpi_int64(), &lengths, 1, cmpi_int64(), handle))
    let counts = lengths.map { Int($0) }
    // MPI_Allgatherv's displacements are 32 bits wide, so the sum matters and not each length.
    guard counts.reduce(0, +) <= partByteCount else { return try broadcastInTurn(bytes, counts: counts) }
    return try allGatherAtOnce(bytes, counts: counts)
  }

  /// Collective: combines the ranks' arrays element by element.
  ///
  /// - Parameters:
  ///   - values: As many on every rank, which MPI does not check.
  ///   - reduction: What is made of the values at one index.
  /// - Returns: The combined array, the same on every rank to the last bit.
  /// - Throws: An `MPIError` if MPI reports one.
  public func allReduce(_ values: [Double], _ reduction: Reduction) throws(MPIError) -> [Double] {
    var result = [Double](repeating: 0, count: values.count)
    let partLength = max(1, partByteCount / MemoryLayout<Double>.stride)
    for part in MessageCount.parts(of: values.indices, partLength: partLength) {
      let count = try MessageCount.checked(part.count, function: "MPI_Allreduce", label: label)
      try label.check(
        "MPI_Allreduce",
        values.withUnsafeBufferPointer { source in
          result.withUnsafeMutableBufferPointer { target in
            MPI_Allreduce(
              source.baseAddress?.advanced(by: part.lowerBound),
              target.baseAddress?.advanced(by: part.lowerBound),
              count, cmpi_double(), reduction.handle, handle)
          }
        })
    }
    return result
  }

  /// Moves bytes whose length every rank already knows.
  private func broadcast(_ bytes: inout [UInt8], rootRank: Int32) throws(MPIError) {
    for part in MessageCount.parts(of: bytes.indices, partLength: partByteCount) {
      let count = try MessageCount.checked(part.count, function: "MPI_Bcast", label: label)
      try label.check(
        "MPI_Bcast",
        bytes.withUnsafeMutableBytes { buffer in
          MPI_Bcast(buffer.baseAddress?.advanced(by: part.lowerBound), count, cmpi_byte(), rootRank, handle)
        })
    }
  }

  private func broadcastInTurn(_ bytes: [UInt8], counts: [Int]) throws(MPIError) -> [[UInt8]] {
    var gathered: [[UInt8]] = []
    for (root, count) in counts.enumerated() {
      var part = root == rank ? bytes : [UInt8](repeating: 0, count: count)
      try broadcast(&part, rootRank: MessageCount.checked(root, function: "MPI_Bcast", label: label))
      gathered.append(part)
    }
    return gathered
  }

  private func allGatherAtOnce(_ bytes: [UInt8], counts: [Int]) throws(MPIError) -> [[UInt8]] {
    let function = "MPI_Allgatherv"
    var starts: [Int] = []
    var total = 0
    for count in counts {
      starts.append(total)
      total += count
    }
    var narrowCounts: [Int32] = []
    var narrowStarts: [Int32] = []
    for (count, start) in zip(counts, starts) {
      narrowCounts.append(try MessageCount.checked(count, function: function, label: label))
      narrowStarts.append(try MessageCount.checked(start, function: function, label: label))
    }
    var joined = [UInt8](repeating: 0, count: total)
    try label.check(
      function,
      MPI_Allgatherv(
        bytes, narrowCounts[rank], cmpi_byte(), &joined, narrowCounts, narrowStarts, cmpi_byte(), handle))
    return zip(starts, counts).map { start, count in Array(joined[start..<start + count]) }
  }
}
