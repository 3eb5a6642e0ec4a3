import Foundation

/// A small file system in memory, mounted as `mount` in a test's folder for the time of the test.
public final class TemporaryMount {
  /// Where it is mounted.
  public let path: String
  /// Kept, so that it is removed after the mount.
  private let folder: TemporaryFolder

  /// Whether this process may mount at all: root in a machine or container of its own.
  public static let isPermitted: Bool = {
    guard let folder = try? TemporaryFolder(), (try? TemporaryMount(options: "size=4k", in: folder)) != nil
    else { return false }
    return true
  }()

  /// Mounts one.
  ///
  /// - Parameters:
  ///   - options: Such as `size=64k` or `ro`.
  ///   - folder: The test's folder.
  /// - Throws: `ProcessFailure` if the system refuses.
  public init(options: String, in folder: TemporaryFolder) throws {
    self.folder = folder
    path = try folder.makeFolder("mount")
    try Self.mount(["-t", "tmpfs", "-o", options, "tmpfs", path])
  }

  /// Changes its options, such as `size=1M`, while it is in use.
  ///
  /// - Throws: `ProcessFailure` if the system refuses.
  public func remount(_ options: String) throws { try Self.mount(["-o", "remount,\(options)", path]) }

  deinit { _ = try? ProcessRunner.run("umount", [path]) }

  private static func mount(_ arguments: [String]) throws { try runSuccessfully("mount", arguments) }
}

/// A small disk with ext4, mounted as `disk` in a test's folder, that can fail while it is in use.
public final class TemporaryDisk: Sendable {
  /// Where it is mounted.
  public let path: String
  private let image: String
  private let folder: TemporaryFolder

  /// Whether this machine has loop devices and an ext4 that can be told to fail.
  public static let isPermitted: Bool = {
    guard let folder = try? TemporaryFolder(), let disk = try? TemporaryDisk(in: folder) else { return false }
    return disk.fail()
  }()

  /// Makes and mounts one.
  ///
  /// - Throws: `ProcessFailure` if the system refuses.
  public init(in folder: TemporaryFolder) throws {
    self.folder = folder
    path = try folder.makeFolder("disk")
    image = folder.file("disk.image")
    try runSuccessfully("truncate", ["-s", "64M", image])
    try runSuccessfully("mkfs.ext4", ["-q", "-F", image])
    try mount()
  }

  deinit { _ = try? ProcessRunner.run("umount", [path]) }

  /// Lets the disk fail as on a hardware error: ext4 becomes read-only at once; tells whether that worked.
  public func fail() -> Bool {
    guard let device = try? ProcessRunner.run("findmnt", ["-n", "-o", "SOURCE", path]).outputLines.first,
      let name = device.split(separator: "/").last
    else { return false }
    return (try? Data("1".utf8).write(to: URL(filePath: "/sys/fs/ext4/\(name)/trigger_fs_error"))) != nil
  }

  /// Takes it out and puts it in again, as an administrator does.
  ///
  /// - Throws: `ProcessFailure` if the system refuses.
  public func replace() throws {
    try runSuccessfully("umount", [path])
    try mount()
  }

  private func mount() throws { try runSuccessfully("mount", ["-o", "loop,errors=remount-ro", image, path]) }
}

private func runSuccessfully(_ program: String, _ arguments: [String]) throws {
  let result = try ProcessRunner.run(program, arguments)
  guard result.status == 0 else { throw ProcessFailure(description: "\(program): \(result.errorOutput)") }
}

/// A program that a test needs and that failed.
public struct ProcessFailure: Error, CustomStringConvertible {
  /// What it said.
  public let description: String
}
