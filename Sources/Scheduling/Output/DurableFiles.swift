internal import Checkpoints
package import Foundation
internal import Glibc

/// Makes a folder and those above it; returns the ones that were made, deepest first.
package func makeFolders(_ path: String) throws -> [String] {
  if mkdir(path, 0o777) == 0 {
    // Its own entry, too, must survive a crash of the machine.
    try syncFolder(parentFolder(of: path))
    return [path]
  }
  if errno == EEXIST { return [] }
  let parent = parentFolder(of: path)
  guard errno == ENOENT, parent != "." && parent != path else { throw OutputError.system("create", path) }
  let made = try makeFolders(parent)
  do { return try makeFolders(path) + made } catch {
    for folder in made { rmdir(folder) }
    throw error
  }
}

/// The names in a folder.
func namesInFolder(_ path: String) throws -> [String] {
  do { return try FileManager.default.contentsOfDirectory(atPath: path) } catch {
    throw OutputError(error, operation: "list", path)
  }
}

/// Removes a file or folder with all it holds; what is not there needs no removing.
package func removeAll(_ path: String) throws {
  guard access(path, F_OK) == 0 else { return }
  do { try FileManager.default.removeItem(atPath: path) } catch {
    throw OutputError(error, operation: "remove", path)
  }
}

/// Makes the entries of a folder durable: names survive a crash of the machine only then.
func syncFolder(_ path: String) throws {
  let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else { throw OutputError.system("open", path) }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else { throw OutputError.system("fsync", path) }
}

/// Writes a small file durably: it appears whole under its name, or not at all.
///
/// - Throws: `OutputError.failed` with the operation that the system refused.
package func writeDurably(_ data: Data, to path: String) throws {
  let temporary = path + ".tmp"
  do { try write(data, toNew: temporary) } catch {
    unlink(temporary)
    throw error
  }
  guard rename(temporary, path) == 0 else {
    let error = OutputError.system("rename", path)
    unlink(temporary)
    throw error
  }
  try syncFolder(parentFolder(of: path))
}

private func write(_ data: Data, toNew path: String) throws {
  let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
  guard descriptor >= 0 else { throw OutputError.system("create", path) }
  defer { close(descriptor) }
  try write(data, to: descriptor, path)
  guard fsync(descriptor) == 0 else { throw OutputError.system("fsync", path) }
}

/// Writes all bytes at the file's position; `path` is for the error.
func write(_ data: Data, to descriptor: Int32, _ path: String) throws {
  let bytes = [UInt8](data)
  var done = 0
  while done < bytes.count {
    // A slice's own copy: an array passes to C as it is.
    let count = Glibc.write(descriptor, Array(bytes[done...]), bytes.count - done)
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { throw OutputError.system("write", path) }
    done += count
  }
}
