internal import Adapters
internal import Checkpoints
internal import Foundation
internal import WeightSources

/// Writes a model with adapters added to it, tensor by tensor, on one rank.
///
/// What it takes is reading and writing the model once; the sums are a small part of that.
public struct MergeJob {
  private let request: MergeRequest

  /// A job for a request.
  public init(_ request: MergeRequest) { self.request = request }

  /// Fills a folder and publishes it.
  ///
  /// - Parameters:
  ///   - folder: The output.
  ///   - notify: Called with sentences for a person.
  ///   - onProgress: Called after each tensor.
  /// - Returns: What was done.
  /// - Throws: What is wrong with the inputs, or what the device has against the output; the folder is then not
  ///   published.
  public func run(
    into folder: OutputFolder, notify: (String) -> Void, onProgress: @escaping (RewritingProgress) -> Void
  ) throws -> RewritingReport {
    try folder.publishing {
      let model = try Checkpoint.open(request.modelPath)
      let configuration = try ModelConfiguration.read(modelPath: request.modelPath)
      let terms = try request.adapters.map {
        AdapterMerge.Term(try PEFTAdapter.open($0.path), weight: $0.weight)
      }
      let adapterFiles = try terms.flatMap { try $0.adapter.inputFiles() }
      let merge = try AdapterMerge(of: model, configuration: configuration, terms: terms)
      for note in merge.notes { notify("note: \(note)") }
      let reader = DeltaReader()
      let report = try rewrite(
        merge.model, into: folder, shardSize: request.shardSize, onProgress: onProgress
      ) { try merge.merged($0, with: reader) }
      if merge.untiesHead, let text = try ModelConfiguration.untied(modelPath: request.modelPath) {
        try writeDurably(text, to: folder.contentsPath + "/config.json")
      }
      try adapterFiles.checkUnchanged()
      return report
    }
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
}
