import Glibc

/// The system's copy of files in memory, and how it is emptied before a cold run.
enum PageCache {
  /// How `drop` works here, for the line beside the figures.
  static var means: String {
    canDropAll ? "sync; echo 3 >/proc/sys/vm/drop_caches" : "dd iflag=nocache count=0 of each file"
  }

  /// Makes the next read of some files come from the disk.
  static func drop(_ files: [String]) throws {
    if canDropAll {
      _ = try ChildProcess.run(["sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches"])
    } else {
      for file in files {
        _ = try ChildProcess.run(["dd", "if=" + file, "of=/dev/null", "iflag=nocache", "count=0"])
      }
    }
  }

  private static var canDropAll: Bool { access("/proc/sys/vm/drop_caches", W_OK) == 0 && geteuid() == 0 }

  /// Seconds that dd takes to read some files one after the other in blocks of 4 MiB.
  static func secondsByDD(_ files: [String]) throws -> Double {
    try files.reduce(0) { sum, file in
      try sum + ChildProcess.run(["dd", "if=" + file, "of=/dev/null", "bs=4M"]).seconds
    }
  }
}
