import Glibc
import MPI

/// The highest rank fails while the others wait in a collective.
func failBesideCollective(_ world: borrowing Communicator) throws {
  if world.rank == world.size - 1 { throw CaseFailure("layer 'h.3' has 2 rows, expected 3") }
  try world.barrier()
}

/// The highest rank fails while the others wait for its message.
func failBesideReceive(_ world: borrowing Communicator) throws {
  let last = world.size - 1
  if world.rank == last { throw CaseFailure("layer 'h.3' has 2 rows, expected 3") }
  _ = try world.receive(Envelope(source: last, tag: 0, byteCount: 8))
}

/// The highest rank fails with a send in flight, whose deinit must not hide the error.
func failWithPendingSend(_ world: borrowing Communicator) throws {
  if world.rank == world.size - 1 {
    var outbox = Outbox()
    outbox.add(try world.send(pattern(10_000_000, seed: 1), to: 0, tag: 0))
    try outbox.progress()
    throw CaseFailure("layer 'h.3' has 2 rows, expected 3")
  }
  try world.barrier()
}

/// Rank 0 sends itself more than it is ready to receive.
func truncatedReceive(_ world: borrowing Communicator) throws {
  if world.rank == 0 {
    try world.send([1, 2, 3, 4, 5, 6, 7, 8], to: 0, tag: 2).wait()
    _ = try world.receive(Envelope(source: 0, tag: 2, byteCount: 4))
  }
  try world.barrier()
}

func unknownRank(_ world: borrowing Communicator) throws {
  if world.rank == 0 { try world.send([1], to: world.size, tag: 0).wait() }
  try world.barrier()
}

func largeTag(_ world: borrowing Communicator) throws {
  if world.rank == 0 { try world.send([1], to: 0, tag: 40_000).wait() }
  try world.barrier()
}

/// A send is forgotten, which must not pass for success.
func droppedSend(_ world: borrowing Communicator) throws {
  _ = try world.send(pattern(10_000_000, seed: 1), to: world.rank, tag: 0)
}
