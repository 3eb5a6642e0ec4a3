internal import Glibc

/// Writes a small file durably: it appears whole under its name, or not at all.
///
/// - Throws: `CheckpointError.system` with the operation that the system refused.
package func writeDurably(_ bytes: [UInt8], to path: String) throws {
  let file = try PartialFile(finalPath: path)
  try file.write(bytes, at: 0)
  try file.publish(size: bytes.count)
}

/// Makes the entries of a folder durable: names survive a crash of the machine only then.
///
/// - Throws: `CheckpointError.system` with the operation that the system refused.
package func syncFolder(_ path: String) throws {
  let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else {
    throw CheckpointError.system(path: path, operation: "open", errorNumber: errno)
  }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else {
    throw CheckpointError.system(path: path, operation: "fsync", errorNumber: errno)
  }
}
