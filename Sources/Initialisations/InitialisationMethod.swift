/// A way to begin the training of a few numbers from a decomposition of the weights themselves.
public enum InitialisationMethod: String, Sendable, Codable, CaseIterable {
  /// The leading singular triplets are trained; the rest is frozen (Meng, Wang and Zhang, arXiv 2404.02948).
  case pissa
  /// The last singular triplets are trained (Wang et al., arXiv 2406.09044).
  case milora
  /// The first columns of an orthonormal factor and their rows are trained (Büyükakyüz, arXiv 2406.01775).
  case olora
  /// The triplets that matter most, or least, for the inputs of given data are trained (Yang et al., arXiv 2406.05223).
  case corda
  /// A small square matrix between frozen leading factors is trained (Bałazy et al., arXiv 2405.17604).
  case loraXS = "lora-xs"
  /// The leading singular values alone are trained (the svd-training package).
  case svdTraining = "svd-training"

  /// Whether the result is a residual model with an adapter that is added to it.
  public var writesResidualModel: Bool { self != .loraXS && self != .svdTraining }

  /// Whether leading singular triplets are all it takes, which may be found without the others.
  public var takesLeadingTriplets: Bool { [.pissa, .loraXS, .svdTraining].contains(self) }
}

/// Which triplets of CorDA are trained.
public enum CorDAMode: String, Sendable, Codable, CaseIterable {
  /// Instruction-previewed: the first ones, which the given data use most.
  case ipm
  /// Knowledge-preserved: the last ones, which the given data use least.
  case kpm
}
