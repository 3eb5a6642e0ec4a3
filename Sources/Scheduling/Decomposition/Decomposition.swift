public import MPI

/// A job that keeps the triplets of every module in a folder, for adapters that are made of them later.
///
/// An extraction but for its last step: the same plan, work and journal.
public struct Decomposition {
  private let plan: ExtractionPlan
  private let extraction: Extraction
  private let versionText: String
  private let shardSize: Int

  /// A decomposition of a plan.
  ///
  /// - Parameters:
  ///   - plan: Made with `ExtractionPlan(decomposing:)`; the same on every rank.
  ///   - resources: What the job may take.
  ///   - version: The program's.
  ///   - shardSize: The greatest number of bytes of tensors in one file.
  public init(_ plan: ExtractionPlan, resources: JobResources, version: String, shardSize: Int) {
    precondition(plan.product == .triplets, "a decomposition keeps triplets")
    self.plan = plan
    extraction = Extraction(plan, resources: resources, version: version)
    versionText = version
    self.shardSize = shardSize
  }

  /// Collective: decomposes every module and writes the folder on rank 0.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each unit.
  /// - Returns: On rank 0 the report; elsewhere nil.
  /// - Throws: As `Extraction.run`.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void, onProgress: (ProgressState) -> Void
  ) throws -> ExtractionReport? {
    try extraction.run(on: world, into: folder, notify: notify, onProgress: onProgress) { journal, folder in
      try DecompositionEmission(plan, version: versionText, shardSize: shardSize)
        .write(journal, to: folder.contentsPath)
    }
  }
}
