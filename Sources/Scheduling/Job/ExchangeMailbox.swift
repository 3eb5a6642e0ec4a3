internal import Foundation

/// What a rank's computing thread exchanges with other ranks, carried by the main thread, which alone talks MPI.
final class ExchangeMailbox: @unchecked Sendable {
  // Sendable because every stored property below the lock is touched only under it.

  private let lock = NSCondition()
  private var outgoing: [(rank: Int, bytes: [UInt8])] = []
  private var arrived: [Int: [[UInt8]]] = [:]
  private var isWaiting = false
  private var traffic = ExchangeTraffic()

  /// Sends bytes to a rank and waits for its; messages between two ranks keep their order.
  func exchange(_ bytes: [UInt8], with rank: Int) -> [UInt8] {
    let start = secondsNow()
    lock.lock()
    defer { lock.unlock() }
    outgoing.append((rank, bytes))
    traffic.bytesSent += bytes.count
    traffic.count += 1
    isWaiting = true
    while arrived[rank]?.isEmpty ?? true { lock.wait() }
    isWaiting = false
    traffic.seconds += secondsNow() - start
    return arrived[rank]?.removeFirst() ?? []
  }

  /// What the main thread has to send.
  func takeOutgoing() -> [(rank: Int, bytes: [UInt8])] {
    lock.withChange {
      defer { outgoing.removeAll() }
      return outgoing
    }
  }

  /// Hands over what another rank has sent.
  func deliver(_ bytes: [UInt8], from rank: Int) {
    lock.withChange { arrived[rank, default: []].append(bytes) }
  }

  /// Whether the computing thread stands still until something arrives.
  var isAwaited: Bool { lock.withChange { isWaiting } }

  /// What has been exchanged so far.
  var total: ExchangeTraffic { lock.withChange { traffic } }
}

/// How much a rank exchanged inside groups.
struct ExchangeTraffic: Sendable {
  var bytesSent = 0
  var count = 0
  /// Seconds of waiting for partners, their computing included.
  var seconds = 0.0
}
