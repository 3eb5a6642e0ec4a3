import Glibc

/// The rest between two looks at something slow: short at first, at most a millisecond.
///
/// MPI's own waits keep a core busy, which computing threads need.
public struct PollingPause {
  /// Looks without a nap; most waits end within them.
  private static let eagerLookCount = 100
  private static let shortestNap = 50_000
  private static let longestNap = 1_000_000

  private var lookCount = 0
  private var nanoseconds = Self.shortestNap

  /// A pause that starts short.
  public init() {}

  /// Returns after this look's share of patience; with `isShort`, a quarter of it at most.
  ///
  /// Naps much shorter than that take a tenth of a core that the computing thread shares.
  ///
  /// - Parameters:
  ///   - isShort: Whether to rest a quarter of the longest nap at most.
  ///   - nap: Sleeps for so many nanoseconds, or less where something else can wake it.
  public mutating func rest(isShort: Bool = false, nap: (Int) -> Void = Self.sleep) {
    lookCount += 1
    guard lookCount > Self.eagerLookCount else {
      sched_yield()
      return
    }
    nap(isShort ? min(nanoseconds, Self.longestNap / 4) : nanoseconds)
    nanoseconds = min(nanoseconds * 2, Self.longestNap)
  }

  /// Sleeps for less than a second.
  public static func sleep(nanoseconds: Int) {
    var time = timespec(tv_sec: 0, tv_nsec: nanoseconds)
    nanosleep(&time, nil)
  }

  /// Makes the next rest short again: something came.
  public mutating func reset() { self = PollingPause() }
}
