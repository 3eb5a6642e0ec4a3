import MPI

/// All ranks of a node count up one word, and each one of its own that the others read.
func sharedWords(_ world: borrowing Communicator) throws {
  let node = try world.splitByNode()
  guard let words = try SharedWords(count: node.size + 1, on: node) else {
    throw CaseFailure("no shared window")
  }
  try expectEqual((0...node.size).allSatisfy { words[$0] == 0 }, true, "words at first")
  try node.barrier()
  let additionCount: UInt64 = 20_000
  for _ in 0..<additionCount {
    while true {
      let seen = words[node.size]
      if words.replace(node.size, seen, with: seen + 1 << 32) { break }
    }
  }
  try expectEqual(words.replace(node.rank, 1, with: 9), false, "replacing what is not there")
  try expectEqual(words.replace(node.rank, 0, with: UInt64.max - UInt64(node.rank)), true, "replacing")
  try node.barrier()
  try expectEqual(words[node.size], UInt64(node.size) * additionCount << 32, "the common word")
  for rank in 0..<node.size { try expectEqual(words[rank], .max - UInt64(rank), "word of rank \(rank)") }
  try node.barrier()
  try words.free()
  try node.free()
}

/// Where windows are switched off, every rank learns it and the job lives.
func noSharedWords(_ world: borrowing Communicator) throws {
  let node = try world.splitByNode()
  let isMade = try SharedWords(count: 1, on: node) != nil
  try expectEqual(isMade, node.size == 1, "words without windows")
  try node.barrier()
  try node.free()
}
