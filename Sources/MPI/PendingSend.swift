import CMPI
import Synchronization

/// A message on its way, which owns its bytes until MPI is done with them.
///
/// End it with `wait`, or ask `isDone` until it is true. One that is dropped earlier keeps its bytes allocated,
/// since MPI may still read them, and is counted: `Runtime.finalize` traps on it. It does not trap at once,
/// because an error on its way to the top drops pending sends too, and the user must see that error.
public struct PendingSend: ~Copyable {
  /// Sends of this process that were dropped before they were done.
  static var abandonedCount: Int { abandoned.load(ordering: .relaxed) }

  private static let abandoned = Atomic<Int>(0)

  private let buffer: UnsafeMutableRawBufferPointer
  private var requests: [MPI_Request?] = []
  private var isGivenUp = false
  private let label: CommunicatorLabel

  var byteCount: Int { buffer.count }

  /// Copies the bytes behind a prefix, which holds their number if it is not empty.
  init(prefixByteCount: Int, bytes: [UInt8], label: CommunicatorLabel) {
    buffer = .allocate(byteCount: prefixByteCount + bytes.count, alignment: MemoryLayout<Int64>.alignment)
    self.label = label
    if prefixByteCount > 0 {
      buffer.storeBytes(of: Int64(bytes.count).littleEndian, as: Int64.self)
    }
    UnsafeMutableRawBufferPointer(rebasing: buffer[prefixByteCount...]).copyBytes(from: bytes)
  }

  /// Starts the MPI message that holds one range of the buffer.
  mutating func start(
    _ range: Range<Int>, count: Int32, to target: Int32, tag: Int32, on communicator: MPI_Comm?
  ) throws(MPIError) {
    var request: MPI_Request?
    try label.check(
      "MPI_Isend",
      MPI_Isend(
        buffer.baseAddress?.advanced(by: range.lowerBound), count, cmpi_byte(), target, tag, communicator,
        &request))
    requests.append(request)
  }

  /// Lets MPI make progress and tells whether the bytes have left.
  ///
  /// Done means that MPI needs the bytes no longer, not that the receiver has them.
  ///
  /// - Throws: An `MPIError` if the send failed.
  public mutating func isDone() throws(MPIError) -> Bool {
    while var request = requests.last {
      var flag: Int32 = 0
      try label.check("MPI_Test", MPI_Test(&request, &flag, cmpi_status_ignore()))
      guard flag != 0 else { return false }
      requests.removeLast()
    }
    return true
  }

  /// Waits until the bytes have left, napping between looks so that a waiting rank leaves its core to others.
  ///
  /// - Throws: An `MPIError` if the send failed.
  public consuming func wait() throws(MPIError) {
    var pause = PollingPause()
    while try !isDone() { pause.rest() }
  }

  /// Lets it be dropped before it is done, on purpose.
  mutating func abandon() { isGivenUp = true }

  deinit {
    if requests.isEmpty {
      buffer.deallocate()
    } else if !isGivenUp {
      Self.abandoned.add(1, ordering: .relaxed)
    }
  }
}
