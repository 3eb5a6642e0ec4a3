/// What is known of a message that has arrived and has not been received yet.
///
/// A look only: the message stays where it is until `Communicator.receive` takes it, and looking again finds
/// the same one.
public struct Envelope: Equatable, Sendable {
  /// The rank that sent it.
  public let source: Int

  /// The tag it was sent with.
  public let tag: Int

  /// Bytes of the message; nil if it is longer than one part (1 GiB), when only receiving it tells.
  public let byteCount: Int?

  package init(source: Int, tag: Int, byteCount: Int?) {
    self.source = source
    self.tag = tag
    self.byteCount = byteCount
  }
}
