import CMPI

/// A group of ranks that talk to each other, apart from every other group's traffic.
///
/// The world is borrowed from MPI. Communicators made by `duplicate` and `splitByNode` are owned and end by
/// `free`; one that merely goes out of scope stays allocated until MPI ends, since freeing is collective and an
/// error may be on its way through this rank alone.
public struct Communicator: ~Copyable {
  /// This process's number in the group, from 0.
  public let rank: Int

  /// How many ranks the group has.
  public let size: Int

  /// What error sentences call the group.
  public let name: String

  /// Bytes one MPI call moves at most, the same on every rank; data that is longer travels in parts.
  package let partByteCount: Int

  let handle: MPI_Comm?
  private let isOwned: Bool

  var label: CommunicatorLabel { CommunicatorLabel(name: name, size: size) }

  init(borrowing handle: MPI_Comm?, name: String, partByteCount: Int) throws(MPIError) {
    try self.init(handle: handle, isOwned: false, name: name, partByteCount: partByteCount)
  }

  private init(handle: MPI_Comm?, isOwned: Bool, name: String, partByteCount: Int) throws(MPIError) {
    precondition(partByteCount > 0 && partByteCount <= MessageCount.defaultPartByteCount)
    var rank: Int32 = 0
    var size: Int32 = 0
    let unsized = CommunicatorLabel(name: name, size: 1)
    try unsized.check("MPI_Comm_size", MPI_Comm_size(handle, &size))
    try unsized.check("MPI_Comm_rank", MPI_Comm_rank(handle, &rank))
    self.rank = Int(rank)
    self.size = Int(size)
    self.name = name
    self.partByteCount = partByteCount
    self.handle = handle
    self.isOwned = isOwned
  }

  /// Collective: makes a communicator of the same ranks whose messages never mix with this one's.
  ///
  /// - Returns: An owned communicator.
  /// - Throws: An `MPIError` if MPI cannot make one.
  public func duplicate() throws(MPIError) -> Communicator {
    try duplicate(partByteCount: partByteCount)
  }

  /// Collective: makes a communicator of the same ranks that cuts long data at another length.
  ///
  /// - Parameter partByteCount: At most 1 GiB, and the same on every rank.
  /// - Returns: An owned communicator.
  /// - Throws: An `MPIError` if MPI cannot make one.
  package func duplicate(partByteCount: Int) throws(MPIError) -> Communicator {
    var copy: MPI_Comm?
    try label.check("MPI_Comm_dup", MPI_Comm_dup(handle, &copy))
    return try Communicator(
      handle: copy, isOwned: true, name: "copy of \(name)", partByteCount: partByteCount)
  }

  /// Collective: makes a communicator of the ranks that share this rank's machine, in the order they have here.
  ///
  /// Its rank 0 is the same process on every rank of a machine; its name is `node`.
  ///
  /// - Returns: An owned communicator.
  /// - Throws: An `MPIError` if MPI cannot make one.
  public func splitByNode() throws(MPIError) -> Communicator {
    var node: MPI_Comm?
    // Ties between equal keys are broken by the rank, which is the order wanted.
    try label.check(
      "MPI_Comm_split_type",
      MPI_Comm_split_type(handle, cmpi_comm_type_shared(), 0, cmpi_info_null(), &node))
    return try Communicator(handle: node, isOwned: true, name: "node", partByteCount: partByteCount)
  }

  /// Collective: ends a communicator made by `duplicate` or `splitByNode`.
  ///
  /// The world cannot be freed; trying is a programming error.
  ///
  /// - Throws: An `MPIError` if MPI refuses.
  public consuming func free() throws(MPIError) {
    precondition(isOwned, "communicator '\(name)' is borrowed from MPI")
    var handle = handle
    try label.check("MPI_Comm_free", MPI_Comm_free(&handle))
  }
}
