internal import Glibc

/// A file opened for reading at any position.
///
/// Read with `pread`, never mapped: a mapped file that is cut while it is read ends the process with a bus
/// error, where this gives a sentence.
public struct RandomAccessFile: ~Copyable {
  /// The path it was opened under.
  public let path: String
  /// Its size in bytes when it was opened.
  public let size: Int
  private let descriptor: Int32

  /// Opens a regular file.
  public init(path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw errno == ENOENT
        ? CheckpointError.notFound(path: path)
        : CheckpointError.system(path: path, operation: "open", errorNumber: errno)
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let reason = errno
      close(descriptor)
      throw CheckpointError.system(path: path, operation: "look at", errorNumber: reason)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw CheckpointError.notACheckpoint(path: path)
    }
    self.path = path
    self.descriptor = descriptor
    size = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Fills a buffer from a position of the file.
  ///
  /// - Throws: `CheckpointError.shrunk` if the file ends before the buffer is full, `.system` if the device
  ///   fails. `tensor` is named in the error.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int, of tensor: String) throws {
    var done = 0
    while done < buffer.count, let start = buffer.baseAddress {
      let count = pread(descriptor, start + done, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw CheckpointError.shrunk(
          path: path, tensor: tensor, neededSize: offset + buffer.count, size: currentSize())
      } else if errno != EINTR {
        throw CheckpointError.system(path: path, operation: "read", errorNumber: errno)
      }
    }
  }

  /// Asks the system to read a range that will be wanted soon; what lies beyond the file's end is ignored.
  public func prefetch(_ range: Range<Int>) {
    // No length would mean all the rest of the file.
    guard !range.isEmpty else { return }
    // Advice: where the system cannot take it, reading works as before.
    _ = posix_fadvise(descriptor, off_t(range.lowerBound), off_t(range.count), Int32(POSIX_FADV_WILLNEED))
  }

  /// When the file was last changed, in nanoseconds since 1970.
  func modified() throws -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw CheckpointError.system(path: path, operation: "look at", errorNumber: errno)
    }
    return status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec
  }

  /// The size now, which may no longer be the size it was opened with.
  private func currentSize() -> Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? Int(status.st_size) : size
  }

  /// A range of the file as an array.
  ///
  /// - Throws: As `read(into:at:of:)`, with `what` for the tensor.
  public func bytes(_ range: Range<Int>, of what: String) throws -> [UInt8] {
    // Not filled with zeros first: that would take as long as reading from memory.
    try [UInt8](unsafeUninitializedCapacity: range.count) { elements, initializedCount in
      try read(into: UnsafeMutableRawBufferPointer(elements), at: range.lowerBound, of: what)
      initializedCount = range.count
    }
  }
}
