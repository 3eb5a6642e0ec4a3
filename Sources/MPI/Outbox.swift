/// Any number of messages on their way.
///
/// A program that sends results while it computes adds each send here and calls `progress` now and then. Drain
/// it before MPI ends; what is left in an outbox that goes out of scope counts as dropped (see `PendingSend`).
public struct Outbox: ~Copyable {
  /// Arrays cannot hold noncopyable values; a box can.
  private final class Slot {
    var send: PendingSend

    init(_ send: consuming PendingSend) { self.send = send }
  }

  private var slots: [Slot] = []

  /// Makes an outbox with nothing in it.
  public init() {}

  /// Whether every message has left, as of the last `progress`.
  public var isEmpty: Bool { slots.isEmpty }

  /// How many messages have not left, as of the last `progress`.
  public var count: Int { slots.count }

  /// Bytes of the messages that have not left, as of the last `progress`.
  public var byteCount: Int { slots.reduce(0) { $0 + $1.send.byteCount } }

  /// Takes over a send.
  ///
  /// - Parameter send: Done or not.
  public mutating func add(_ send: consuming PendingSend) {
    slots.append(Slot(send))
  }

  /// Lets MPI make progress and drops the sends that are done.
  ///
  /// - Throws: An `MPIError` if a send failed; the others stay.
  public mutating func progress() throws(MPIError) {
    var remaining: [Slot] = []
    for slot in slots where try !slot.send.isDone() { remaining.append(slot) }
    slots = remaining
  }

  /// Gives up the messages that have not left, on purpose: their receivers may never take them.
  ///
  /// MPI may still read their bytes, which therefore stay allocated; `Runtime.finalize` does not count them.
  public mutating func abandon() {
    for slot in slots { slot.send.abandon() }
    slots = []
  }

  /// Waits until every message has left, napping between looks.
  ///
  /// Long messages leave only once their receivers take them: two ranks that drain towards each other and
  /// receive nothing meanwhile wait for ever.
  ///
  /// - Throws: An `MPIError` if a send failed.
  public mutating func drain() throws(MPIError) {
    var pause = PollingPause()
    try progress()
    while !isEmpty {
      pause.rest()
      try progress()
    }
  }
}
