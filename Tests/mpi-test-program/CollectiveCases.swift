import MPI

/// Parts of 1 KiB, so that a few thousand bytes already take several.
private let partByteCount = 1024

/// Lengths around the cuts: none, one byte, one part, one byte more, several parts and a rest.
private let lengths = [0, 1, partByteCount - 1, partByteCount, partByteCount + 1, 10 * partByteCount + 7]

func broadcast(_ world: borrowing Communicator) throws {
  let inParts = try world.duplicate(partByteCount: partByteCount)
  for root in 0..<world.size {
    for length in lengths {
      let expected = pattern(length, seed: root)
      // What the others pass in does not count.
      let own = world.rank == root ? expected : pattern(world.rank, seed: 99)
      guard try inParts.broadcast(own, root: root) == expected,
        try world.broadcast(own, root: root) == expected
      else { throw CaseFailure("\(length) bytes from root \(root) came out different") }
    }
  }
  try inParts.free()
}

func allGather(_ world: borrowing Communicator) throws {
  let inParts = try world.duplicate(partByteCount: partByteCount)
  for length in lengths {
    // Rank 0 has nothing to say, the others ever more.
    let expected = (0..<world.size).map { pattern(length * $0, seed: $0) }
    guard try inParts.allGather(expected[world.rank]) == expected,
      try world.allGather(expected[world.rank]) == expected
    else { throw CaseFailure("gathered bytes of length \(length) × rank came out different") }
  }
  try inParts.free()
}

func allReduce(_ world: borrowing Communicator) throws {
  let inParts = try world.duplicate(partByteCount: partByteCount)
  let last = Double(world.size - 1)
  for count in [0, 1, 128, 129, 1000] {
    let own = (0..<count).map { Double($0 * world.rank) }
    let indices = (0..<count).map { Double($0) }
    let ranksSum = last * Double(world.size) / 2
    try expectEqual(inParts.allReduce(own, .sum), indices.map { $0 * ranksSum }, "sum of \(count)")
    try expectEqual(inParts.allReduce(own, .max), indices.map { $0 * last }, "max of \(count)")
    try expectEqual(inParts.allReduce(own, .min), indices.map { _ in 0 }, "min of \(count)")
    try expectEqual(world.allReduce(own, .sum), indices.map { $0 * ranksSum }, "sum of \(count) at once")
  }
  try inParts.free()
}

func allReduceInPlace(_ world: borrowing Communicator) throws {
  let inParts = try world.duplicate(partByteCount: partByteCount)
  for count in [0, 1, 128, 257, 1000] {
    let ranksSum = world.size * (world.size - 1) / 2
    var doubles = (0..<count).map { Double($0 * world.rank) }
    try doubles.withUnsafeMutableBufferPointer { try inParts.allReduce(inPlace: $0, .sum) }
    try expectEqual(doubles, (0..<count).map { Double($0 * ranksSum) }, "doubles, sum of \(count)")
    var floats = (0..<count).map { Float($0 * world.rank) }
    try floats.withUnsafeMutableBufferPointer { try inParts.allReduce(inPlace: $0, .max) }
    try expectEqual(floats, (0..<count).map { Float($0 * (world.size - 1)) }, "floats, max of \(count)")
  }
  try inParts.free()
}

func splitByNode(_ world: borrowing Communicator) throws {
  let node = try world.splitByNode()
  try expectEqual(node.size, world.size, "ranks on the one machine there is")
  try expectEqual(node.rank, world.rank, "rank on the machine")
  try expectEqual(node.name, "node", "name")
  try node.barrier()
  // Freeing one must leave its siblings alone.
  let copy = try node.duplicate()
  try node.free()
  try expectEqual(copy.broadcast([7], root: 0), [7], "broadcast on the copy")
  try copy.free()
  try world.barrier()
}

func describe(_ world: borrowing Communicator) throws {
  try expectEqual(Launcher.isPresent, world.size > 1 || Launcher.rank != nil, "launcher")
  if Launcher.isPresent { try expectEqual(Launcher.rank, world.rank, "launcher's rank") }
  guard !Runtime.processorName.isEmpty else { throw CaseFailure("empty processor name") }
  print("rank \(world.rank) of \(world.size), communicator '\(world.name)'")
}
