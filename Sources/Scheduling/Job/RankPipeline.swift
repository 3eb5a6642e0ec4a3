internal import Foundation

/// The work of one unit, in the two stages that overlap: reading the next while computing this.
public protocol UnitWork: Sendable {
  /// What reading a unit yields.
  associatedtype Loaded: Sendable
  /// Reads a unit, or this rank's share of it; called on the reading thread only.
  func load(_ unit: Int, group: RankGroup) throws -> Loaded
  /// Turns what was read into the bytes that the coordinator receives; called on the computing thread only.
  ///
  /// All members of a group compute a unit together; what the leader returns is its result.
  func compute(_ unit: Int, _ loaded: Loaded, group: RankGroup) throws -> [UInt8]
}

/// One rank's reading and computing threads, fed and emptied by the main thread, which alone talks MPI.
///
/// At most two units are in memory at any time: the one being computed and the next, read or being read.
final class RankPipeline<Work: UnitWork>: @unchecked Sendable {
  // Sendable because every stored property below the lock is touched only under it.

  /// What became of a unit.
  enum Outcome: Sendable {
    case finished(unit: Int, isLeader: Bool, bytes: [UInt8])
    case failed(any Error)
  }

  private let work: Work
  private let lock = NSCondition()
  private var submitted: [Assignment] = []
  private var loaded: [(assignment: Assignment, value: Work.Loaded)] = []
  private var outcomes: [Outcome] = []
  private var inMemoryCount = 0
  private var isClosed = false
  private var computing: Assignment?
  private var halt: Halt?
  private var times = PipelineTimes()

  private typealias Assignment = (unit: Int, group: RankGroup)

  /// How much is dropped when the job stops.
  private enum Halt { case butWork, all }

  static var memorySlots: Int { 2 }

  init(_ work: Work) { self.work = work }

  /// Starts the two threads.
  func start() {
    for (name, body) in [("reader", readUnits), ("computer", computeUnits)] {
      let thread = Thread { body() }
      thread.name = name
      // LAPACK's Fortran keeps work arrays on the stack.
      thread.stackSize = 64 << 20
      thread.start()
    }
  }

  func submit(_ unit: Int, group: RankGroup) { lock.withChange { submitted.append((unit, group)) } }

  func takeOutcomes() -> [Outcome] {
    lock.withChange {
      defer { outcomes.removeAll() }
      return outcomes
    }
  }

  /// Rests until something has been computed, or for so long.
  func awaitOutcome(nanoseconds: Int) {
    let end = Date(timeIntervalSinceNow: Double(nanoseconds) * 1e-9)
    lock.lock()
    defer { lock.unlock() }
    while outcomes.isEmpty && lock.wait(until: end) {}
  }

  /// Begins nothing any more; what is in work is finished unless the request is urgent.
  ///
  /// A team's unit is dropped too: some of its members may not have begun it.
  func halt(_ request: StopRequest) {
    lock.withChange { halt = request.isUrgent ? .all : .butWork }
  }

  /// Whether a halted rank will finish nothing more.
  var isStill: Bool {
    lock.withChange {
      switch halt {
      case nil: false
      case .all: true
      case .butWork: outcomes.isEmpty && (computing.map { $0.group.memberCount > 1 } ?? true)
      }
    }
  }

  /// Lets the threads end once they have nothing left to do, and tells how they spent their time.
  func close() -> PipelineTimes {
    lock.withChange {
      isClosed = true
      return times
    }
  }

  private func readUnits() {
    while let next = nextToRead() {
      let start = secondsNow()
      do {
        let value = try work.load(next.unit, group: next.group)
        lock.withChange {
          times.reading += secondsNow() - start
          loaded.append((next, value))
        }
      } catch {
        lock.withChange { if halt == nil { outcomes.append(.failed(error)) } }
        return
      }
    }
  }

  private func computeUnits() {
    var last: Outcome?
    var seconds = 0.0
    while let (next, value, start) = nextToCompute(after: last, seconds) {
      // The value dies with this call: its slot must be free memory when the count says so.
      last = computed(next, value)
      seconds = secondsNow() - start
    }
  }

  private func computed(_ next: Assignment, _ value: consuming Work.Loaded) -> Outcome {
    do {
      let bytes = try work.compute(next.unit, value, group: next.group)
      return .finished(unit: next.unit, isLeader: next.group.isLeader, bytes: bytes)
    } catch {
      return .failed(error)
    }
  }

  private func nextToRead() -> Assignment? {
    lock.lock()
    defer { lock.unlock() }
    while !isClosed && halt == nil {
      if !submitted.isEmpty && inMemoryCount < Self.memorySlots {
        inMemoryCount += 1
        return submitted.removeFirst()
      }
      lock.wait()
    }
    return nil
  }

  /// Hands in an outcome and takes what comes next, under one lock.
  ///
  /// Whoever wakes up for the outcome wants the lock: a second time this thread might have to wait for its turn, and
  /// on a full machine for a core.
  ///
  /// - Returns: The unit, and when there was one: from then on it is the processor that is waited for.
  private func nextToCompute(after last: Outcome?, _ seconds: Double)
    -> (assignment: Assignment, value: Work.Loaded, start: Double)?
  {
    lock.lock()
    defer { lock.unlock() }
    if let last {
      times.computing += seconds
      times.unitCount += 1
      inMemoryCount -= 1
      computing = nil
      outcomes.append(last)
      lock.broadcast()
      if case .failed = last { return nil }
    }
    while !isClosed && halt == nil {
      if !loaded.isEmpty {
        let next = loaded.removeFirst()
        computing = next.assignment
        return (next.assignment, next.value, secondsNow())
      }
      lock.wait()
    }
    return nil
  }
}

/// How one rank's threads spent a job, in seconds.
struct PipelineTimes: Sendable {
  var reading = 0.0
  var computing = 0.0
  var unitCount = 0
}

/// Seconds of a clock that only goes forward.
func secondsNow() -> Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }
