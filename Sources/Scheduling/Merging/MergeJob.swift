internal import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Writes a model with adapters added to it, tensor by tensor, on one rank.
///
/// What it takes is reading and writing the model once; the sums are a small part of that.
public struct MergeJob: RewritingJob {
  private let request: MergeRequest
  private let versionText: String

  /// A job for a request; an interrupted one is carried on by the same version only.
  public init(_ request: MergeRequest, version: String) {
    self.request = request
    versionText = version
  }

  /// Adds the adapters to the model.
  public func run(
    into folder: OutputFolder, notify: @escaping @Sendable (String) -> Void,
    onProgress: (RewritingProgress) -> Void
  ) throws -> RewritingReport {
    let (merge, rewriting) = try merge()
    for note in merge.notes { notify("note: \(note)") }
    let reader = DeltaReader()
    return try rewriting.run(
      into: folder, notify: notify, onProgress: onProgress,
      complete: { contents in
        guard merge.untiesHead,
          let text = try ModelConfiguration.untied(modelPath: request.modelPath)
        else { return }
        try writeDurably(text, to: contents + "/config.json")
      },
      replacing: { try merge.merged($0, with: reader) })
  }

  /// What changed in the model that it has made.
  public func completedSummary(at path: String) -> String? {
    try? merge().rewriting.completedSummary(at: path)
  }

  /// The sums, and the model they go into.
  private func merge() throws -> (AdapterMerge, rewriting: ModelRewriting) {
    let model = try Checkpoint.open(request.modelPath)
    let configuration = try ModelConfiguration.read(modelPath: request.modelPath)
    let terms = try request.adapters.map {
      AdapterMerge.Term(try PEFTAdapter.open($0.path), weight: $0.weight)
    }
    let adapterFiles = try terms.flatMap { try $0.adapter.inputFiles() }
    let merge = try AdapterMerge(of: model, configuration: configuration, terms: terms)
    let rewriting = ModelRewriting(
      model: merge.model, shardSize: request.shardSize, otherInputs: adapterFiles,
      options: [("version", versionText), ("result", "a merged model")] + request.optionRows,
      circumstances: [("BLAS kernels", BLASLibrary.kernels)])
    return (merge, rewriting)
  }
}

/// What a person asked for of a merge.
public struct MergeRequest: Sendable {
  /// The model's folder or file.
  public var modelPath: String
  /// The adapters' folders, with how much of each is added.
  public var adapters: [(path: String, weight: Double)]
  /// The greatest number of bytes of tensors in a file; nil keeps the model's files.
  public var shardSize: Int?

  /// A request of given parts.
  public init(modelPath: String, adapters: [(path: String, weight: Double)], shardSize: Int? = nil) {
    self.modelPath = modelPath
    self.adapters = adapters
    self.shardSize = shardSize
  }

  fileprivate var optionRows: [(name: String, value: String)] {
    [("MODEL", modelPath)] + adapters.map { ("ADAPTER", "\($0.path)=\($0.weight)") }
      + (shardSize.map { [("--shard-size", "\($0)")] } ?? [])
  }
}
