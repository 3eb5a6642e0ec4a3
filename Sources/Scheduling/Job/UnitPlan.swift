public import Checkpoints

/// Everything that all ranks need to know of a job of modules, each done by one rank and kept in a journal.
public protocol UnitPlan: Sendable, Codable {
  /// What the job gives back on rank 0.
  associatedtype Outcome

  /// The files that are read, as they were when the plan was made.
  var inputs: [InputFile] { get }
  /// What else a person should know.
  var notes: [String] { get }
  /// The modules as the job sees them, in the order in which they are given out: the dearest first.
  var jobUnits: [JobUnit] { get }
  /// Whether the work on a module uses all threads of a rank; else it uses one.
  var usesThreads: Bool { get }

  /// What tells this job from others: an interrupted one is carried on only by its like.
  func identity(version: String) -> JobIdentity

  /// Sees that a rank can hold every module.
  ///
  /// - Throws: An error with both numbers if it cannot.
  func checkMemory(_ resources: JobResources) throws

  /// What a rank does with a module.
  func work(threadCount: Int) -> any UnitWork

  /// Makes a folder's files of what the journal holds of every module.
  ///
  /// - Parameters:
  ///   - journal: Of the finished job.
  ///   - folder: The output, whose contents are empty.
  ///   - run: How the job went.
  /// - Returns: What a person wants to know.
  /// - Throws: What is wrong with the journal, or what the device has against a file.
  func write(_ journal: Journal, into folder: OutputFolder, _ run: UnitRun) throws -> Outcome

  /// What to say of a folder that this very job has completed; nil if it holds anything else.
  func completedSummary(at path: String, version: String) -> String?
}

extension UnitPlan {
  /// Nothing.
  public var notes: [String] { [] }
  /// One thread.
  public var usesThreads: Bool { false }
}

/// How a job of modules went, as far as that is known when its files are written.
public struct UnitRun: Sendable {
  /// The program's version.
  let version: String
  /// How each rank spent it.
  let ranks: [RankStatistics]
  /// When it began, by `secondsNow()`.
  let start: Double
}
