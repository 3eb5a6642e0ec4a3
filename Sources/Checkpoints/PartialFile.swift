internal import Glibc

/// A file that is written at any position under a temporary name, and gets its own name when it is whole.
///
/// Dropped before that, it is removed.
package final class PartialFile {
  /// The name it will get.
  package let finalPath: String
  private let temporaryPath: String
  private let descriptor: Int32
  private var isPublished = false

  /// Bytes moved at once when gaps are closed.
  private static let moveLength = 8 << 20

  /// Makes the file under its temporary name.
  package init(finalPath: String) throws {
    self.finalPath = finalPath
    temporaryPath = finalPath + ".tmp"
    // One left by a killed job is of no use: nobody knows which parts of it were written.
    unlink(temporaryPath)
    descriptor = open(temporaryPath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw CheckpointError.system(path: temporaryPath, operation: "create", errorNumber: errno)
    }
  }

  deinit {
    close(descriptor)
    if !isPublished { unlink(temporaryPath) }
  }

  /// Writes bytes at a position, beyond the present end too.
  package func write(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withUnsafeBytes { try write($0, at: offset) }
  }

  /// Moves bytes towards the front of the file; the ranges may overlap.
  func move(from source: Int, to target: Int, count: Int) throws {
    precondition(target <= source, "gaps close towards the front")
    guard target < source else { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(count, Self.moveLength), alignment: 64)
    defer { buffer.deallocate() }
    var done = 0
    while done < count {
      let length = pread(
        descriptor, buffer.baseAddress, min(buffer.count, count - done), off_t(source + done))
      if length < 0 && errno == EINTR { continue }
      guard length > 0 else { throw failure("read back") }
      try write(UnsafeRawBufferPointer(rebasing: buffer[0..<length]), at: target + done)
      done += length
    }
  }

  /// Cuts the file to its size and lets it appear under its name, safe from a crash of the machine.
  package func publish(size: Int) throws {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw failure("cut") }
    guard fsync(descriptor) == 0 else { throw failure("fsync") }
    guard rename(temporaryPath, finalPath) == 0 else { throw failure("rename") }
    isPublished = true
    try syncFolder(parentFolder(of: finalPath))
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count, let start = bytes.baseAddress {
      let count = pwrite(descriptor, start + done, bytes.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure("write") }
      done += count
    }
  }

  private func failure(_ operation: String) -> CheckpointError {
    .system(path: temporaryPath, operation: operation, errorNumber: errno)
  }
}
