internal import Checkpoints
internal import Foundation
internal import Glibc

/// A folder that is filled out of sight and appears complete under its name, or not at all.
///
/// Work goes on in `<path>.partial`, which a lock keeps for one job: `journal` holds what a job that is started
/// again need not do again, `contents` what is going to appear. `publish()` renames `contents`. A job that is
/// killed leaves all of it, visibly unfinished.
public final class OutputFolder {
  /// The name under which the folder will appear.
  public let path: String
  /// Where the work goes on meanwhile.
  public let partialPath: String
  /// Folders above it that did not exist before, deepest first.
  private var madeParents: [String] = []
  private var lock: FolderLock?
  /// What is to be made of the complete contents before they appear.
  public var finishing: ((OutputFolder) throws -> Void)?

  /// Where finished work is kept for a job that is started again.
  public var journalPath: String { partialPath + "/journal" }
  /// Where the files of the folder are made.
  public var contentsPath: String { partialPath + "/contents" }

  /// Takes the name for this job.
  ///
  /// - Throws: `OutputError.occupied` if something is there already, `.inUse` if another job fills it now,
  ///   `.failed` with the operation and the reason if it cannot be made.
  public convenience init(path: String) throws {
    let path = tidyPath(path)
    try refuseUnusable(path)
    try refuseOccupied(path)
    try self.init(name: path)
    // The job that had the lock until now may have published it.
    try refuseOccupied(path)
  }

  /// Removes what a job left that was killed after it had published the folder.
  public static func removeRemains(of path: String) {
    let path = tidyPath(path)
    guard FileManager.default.fileExists(atPath: path + ".partial") else { return }
    // If another job has it after all, or the system refuses, they stay: they are in nobody's way.
    (try? OutputFolder(name: path))?.discard()
  }

  private init(name path: String) throws {
    self.path = path
    partialPath = path + ".partial"
    var made = try makeFolders(partialPath)
    while lock == nil {
      do { lock = try FolderLock(folder: partialPath) } catch {
        // The job that had the lock until now may have taken the folder along.
        if !FileManager.default.fileExists(atPath: partialPath) {
          made = try makeFolders(partialPath)
          continue
        }
        // The folder itself may be another job's; those above it were ours alone to make.
        for folder in made { rmdir(folder) }
        throw error
      }
    }
    madeParents = Array(made.dropFirst())
  }

  deinit {
    lock = nil
    // Whatever holds nothing goes; these calls refuse a folder that holds something.
    for folder in [partialPath] + madeParents { rmdir(folder) }
  }

  /// A sentence about a job that filled this folder before and is gone; nil if there was none.
  public var abandonment: String? { lock?.abandonedBy.map { "\(partialPath): left by \($0), which is gone" } }

  /// Sees that no other job has taken the folder over, which can happen to one that stood still for long.
  ///
  /// - Throws: `OutputError.inUse` with the job that has it now.
  public func checkLock() throws { try lock?.check() }

  /// Makes the folder of the contents, and removes what a killed job left in it and is of no use.
  ///
  /// - Parameter names: What stays.
  /// - Throws: `OutputError.failed` if the system refuses.
  public func clearContents(keeping names: Set<String> = []) throws {
    _ = try makeFolders(contentsPath)
    for name in try namesInFolder(contentsPath) where !names.contains(name) {
      try removeAll(contentsPath + "/" + name)
    }
  }

  /// Makes the contents anew from what they are now.
  ///
  /// - Parameter body: Called with the folder that holds what was made so far, and the empty one of the contents.
  /// - Throws: `OutputError.failed` if the system refuses, and what `body` throws.
  public func remakeContents(_ body: (_ old: String, _ new: String) throws -> Void) throws {
    let old = partialPath + "/remade"
    try removeAll(old)
    guard rename(contentsPath, old) == 0 else { throw OutputError.system("rename", contentsPath) }
    try clearContents()
    try body(old, contentsPath)
    try removeAll(old)
  }

  /// Lets the contents appear under the folder's name, durably, and removes everything else.
  public func publish() throws {
    try finishing?(self)
    try syncFolder(contentsPath)
    // The name may exist as an empty folder, which rename replaces.
    guard rename(contentsPath, path) == 0 else { throw OutputError.system("rename", path) }
    try syncFolder(parentFolder(of: path))
    discard()
  }

  /// Removes the work: it is published, or of no use.
  public func discard() {
    // The lock goes last, with its file. What cannot be removed is harmless, and the next job says why.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: partialPath)) ?? [] where name != "lock"
    {
      try? removeAll(partialPath + "/" + name)
    }
  }
}

/// Refuses names that the last step could not give: better now than after the work.
private func refuseUnusable(_ path: String) throws {
  let last = path.split(separator: "/").last
  if last == nil || last == "." || last == ".." {
    throw OutputError.unusableName(path: path, reason: "is no name of its own")
  }
  var status = stat()
  guard lstat(path, &status) == 0 else { return }
  if status.st_mode & S_IFMT == S_IFLNK {
    throw OutputError.unusableName(path: path, reason: "is a symbolic link")
  }
  var parent = stat()
  if stat(parentFolder(of: path), &parent) == 0, parent.st_dev != status.st_dev {
    throw OutputError.unusableName(path: path, reason: "is a mounted file system, which cannot be renamed")
  }
}

private func refuseOccupied(_ path: String) throws {
  var isFolder: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return }
  guard isFolder.boolValue else { throw OutputError.notAFolder(path: path) }
  let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
  guard entries.isEmpty else { throw OutputError.occupied(path: path, entryCount: entries.count) }
}
