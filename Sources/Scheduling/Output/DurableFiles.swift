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

/// Writes a small file durably: it appears whole under its name, or not at all.
///
/// - Throws: `CheckpointError.system` with the operation that the system refused.
package func writeDurably(_ data: Data, to path: String) throws { try writeDurably([UInt8](data), to: path) }

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
