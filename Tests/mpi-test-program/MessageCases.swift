import Glibc
import MPI

private let partByteCount = 1024

/// Waits for a message the way the scheduler does: looking, and sending meanwhile.
private func awaitMessage(
  _ communicator: borrowing Communicator, tag: Int? = nil, _ outbox: inout Outbox
) throws -> Envelope {
  while true {
    if let envelope = try communicator.arrived(tag: tag) { return envelope }
    try outbox.progress()
    usleep(100)
  }
}

/// Each rank sends to the next one and receives from the one before; with one rank both are itself.
func messageSizes(_ world: borrowing Communicator) throws {
  let inParts = try world.duplicate(partByteCount: partByteCount)
  let next = (world.rank + 1) % world.size
  let previous = (world.rank + world.size - 1) % world.size
  for length in [0, 1, 256, 1023, 1024, 1025, 2048, 2049, 100_000] {
    for isInParts in [false, true] {
      var outbox = Outbox()
      let bytes = pattern(length, seed: world.rank)
      let expected = pattern(length, seed: previous)
      let received: [UInt8]
      let envelope: Envelope
      if isInParts {
        outbox.add(try inParts.send(bytes, to: next, tag: 5))
        envelope = try awaitMessage(inParts, &outbox)
        received = try inParts.receive(envelope)
      } else {
        outbox.add(try world.send(bytes, to: next, tag: 5))
        envelope = try awaitMessage(world, &outbox)
        received = try world.receive(envelope)
      }
      let byteCount = isInParts && length > partByteCount ? nil : length
      try expectEqual(envelope, Envelope(source: previous, tag: 5, byteCount: byteCount), "envelope")
      guard received == expected else { throw CaseFailure("\(length) bytes came out different") }
      try outbox.drain()
    }
  }
  try inParts.free()
}

/// Every rank, also 0, sends 200 numbered messages of changing length and tag to rank 0.
func manyMessages(_ world: borrowing Communicator) throws {
  let messageCount = 200
  let inParts = try world.duplicate(partByteCount: partByteCount)
  var outbox = Outbox()
  for index in 0..<messageCount {
    let length = (index * 37 + world.rank * 11) % 3000
    let bytes = [UInt8(index)] + pattern(length, seed: index + world.rank)
    outbox.add(try inParts.send(bytes, to: 0, tag: index % 3))
  }
  if world.rank == 0 {
    var receivedCounts = [Int](repeating: 0, count: world.size)
    for _ in 0..<messageCount * world.size {
      let envelope = try awaitMessage(inParts, &outbox)
      let index = receivedCounts[envelope.source]
      let length = (index * 37 + envelope.source * 11) % 3000
      let bytes = try inParts.receive(envelope)
      try expectEqual(envelope.tag, index % 3, "tag of message \(index) from rank \(envelope.source)")
      guard bytes == [UInt8(index)] + pattern(length, seed: index + envelope.source) else {
        throw CaseFailure("message \(index) from rank \(envelope.source) came out different")
      }
      receivedCounts[envelope.source] += 1
    }
    try expectEqual(try inParts.arrived(), nil, "message after the last")
  }
  try outbox.drain()
  try expectEqual(outbox.count, 0, "left in the outbox")
  try inParts.barrier()
  try inParts.free()
}

/// A long message followed by a short one of the same tag is found first.
func messageOrder(_ world: borrowing Communicator) throws {
  let inParts = try world.duplicate(partByteCount: partByteCount)
  var outbox = Outbox()
  let long = pattern(50_000, seed: 1)
  outbox.add(try inParts.send(long, to: world.rank, tag: 0))
  outbox.add(try inParts.send([1], to: world.rank, tag: 0))
  outbox.add(try inParts.send([2], to: world.rank, tag: 9))
  // The other tag may overtake; that is what tags are for.
  try expectEqual(inParts.receive(awaitMessage(inParts, tag: 9, &outbox)), [2], "message of the other tag")
  guard try inParts.receive(awaitMessage(inParts, tag: 0, &outbox)) == long else {
    throw CaseFailure("the long message did not come first")
  }
  try expectEqual(inParts.receive(awaitMessage(inParts, &outbox)), [1], "short message")
  try outbox.drain()
  try inParts.free()
}

/// Looking is repeatable, and a small message leaves though its receiver is not inside MPI.
func look(_ world: borrowing Communicator) throws {
  try world.barrier()
  if world.rank == 0 {
    usleep(1_000_000)
    for source in 1..<world.size {
      let pending = Envelope(source: source, tag: 3, byteCount: 256)
      guard try world.arrived() != nil, try world.arrived(tag: 4) == nil else {
        throw CaseFailure("one look did not find what had long been sent")
      }
      try expectEqual(world.receive(pending), pattern(256, seed: source), "small message")
    }
  } else {
    // Rank 0 has left the barrier by then and looks at nothing.
    usleep(300_000)
    var start = timespec()
    clock_gettime(CLOCK_MONOTONIC, &start)
    try world.send(pattern(256, seed: world.rank), to: 0, tag: 3).wait()
    var end = timespec()
    clock_gettime(CLOCK_MONOTONIC, &end)
    let seconds = Double(end.tv_sec - start.tv_sec) + Double(end.tv_nsec - start.tv_nsec) / 1e9
    guard seconds < 0.5 else { throw CaseFailure("256 bytes waited \(seconds) s for a rank outside MPI") }
  }
}
