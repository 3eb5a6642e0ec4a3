public import Checkpoints

/// Two checkpoints held against each other, name by name, before any arithmetic.
public struct Pairing: Sendable {
  /// Tensors on both sides with equal shapes, by name.
  public let pairs: [TensorPair]
  /// Tensors that only the base model has, by name.
  public let onlyInBase: [TensorLocation]
  /// Tensors that only the fine-tuned model has, by name.
  public let onlyInTuned: [TensorLocation]
  /// Tensors on both sides with different shapes, such as a grown vocabulary, by name.
  public let reshaped: [Reshaped]

  /// A tensor whose shape changed.
  public struct Reshaped: Sendable, Hashable {
    /// The base model's side.
    public let base: TensorLocation
    /// The fine-tuned model's side.
    public let tuned: TensorLocation
  }

  /// Pairs every tensor of two checkpoints.
  ///
  /// - Throws: `SourceError` for checkpoints with nothing in common, for quantised weights, and for element
  ///   types that differ unless `acceptsMixedTypes`.
  public init(base: Checkpoint, tuned: Checkpoint, acceptsMixedTypes: Bool = false) throws {
    try refuseQuantized(base)
    try refuseQuantized(tuned)
    let names = Set(base.tensors.keys).union(tuned.tensors.keys).sorted()
    var pairs: [TensorPair] = []
    var onlyInBase: [TensorLocation] = []
    var onlyInTuned: [TensorLocation] = []
    var reshaped: [Reshaped] = []
    for name in names {
      switch (base.tensors[name], tuned.tensors[name]) {
      case (let old?, let new?) where old.shape != new.shape:
        reshaped.append(Reshaped(base: old, tuned: new))
      case (let old?, let new?):
        guard old.elementType == new.elementType || acceptsMixedTypes else {
          throw SourceError.elementTypesDiffer(
            tensor: name, base: old.elementType, tuned: new.elementType)
        }
        pairs.append(TensorPair(base: old, tuned: new))
      case (let old?, nil): onlyInBase.append(old)
      case (nil, let new?): onlyInTuned.append(new)
      case (nil, nil): break
      }
    }
    guard !pairs.isEmpty || !reshaped.isEmpty else {
      throw SourceError.nothingInCommon(
        base: base.path, baseExample: base.sortedNames.first ?? "", tuned: tuned.path,
        tunedExample: tuned.sortedNames.first ?? "")
    }
    self.pairs = pairs
    self.onlyInBase = onlyInBase
    self.onlyInTuned = onlyInTuned
    self.reshaped = reshaped
  }
}

extension Pairing {
  /// A single checkpoint, of which every tensor stands for itself.
  ///
  /// - Throws: `SourceError` for quantised weights.
  public init(weightsOf checkpoint: Checkpoint) throws {
    try refuseQuantized(checkpoint)
    pairs = checkpoint.sortedNames.compactMap { checkpoint.tensors[$0] }.map(TensorPair.init(weight:))
    onlyInBase = []
    onlyInTuned = []
    reshaped = []
  }
}

/// Endings of the tensors that quantised checkpoints keep beside their integer or fp8 weights.
///
/// DeepSeek and compressed-tensors fp8, GPTQ, AWQ, bitsandbytes, HQQ, MXFP4. A difference of the stored
/// numbers without these scales would be meaningless.
private let quantizationSuffixes = [
  "weight_scale_inv", "weight_scale", "weight_scale_2", "input_scale", "scales", "qweight", "qzeros", "g_idx",
  "weight_packed", "weight_shape", "weight_zero_point", "absmax", "quant_map", "nested_absmax", "SCB",
  "_scales", "_blocks", "scale_weight", "weight_format",
]

private func refuseQuantized(_ checkpoint: Checkpoint) throws {
  for name in checkpoint.sortedNames {
    let last = name.split(separator: ".").last.map(String.init) ?? name
    let isScale = quantizationSuffixes.contains { suffix in
      suffix.hasPrefix("_") ? last.hasSuffix(suffix) : last == suffix
    }
    if isScale { throw SourceError.quantized(checkpoint: checkpoint.path, tensor: name) }
  }
}
