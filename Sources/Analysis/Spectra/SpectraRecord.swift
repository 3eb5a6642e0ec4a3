/// `spectra_<slug>.json`: what the singular values tell about every module of a model, or of a difference.
public struct SpectraRecord: Sendable, Codable, Equatable {
  /// The model, as the files call it.
  public let model: String
  /// The model that was taken away from it; nil for a model's own weights.
  public let base: String?
  /// One entry a module, in the order of the scan.
  public let modules: [Module]
  /// What else a person should know.
  public let notes: [String]

  /// A record of given parts.
  public init(model: String, base: String?, modules: [Module], notes: [String]) {
    self.model = model
    self.base = base
    self.modules = modules
    self.notes = notes
  }

  /// One module.
  public struct Module: Sendable, Codable, Equatable {
    /// Its path, without `.weight`.
    public let module: String
    /// What Spectrum ranks it with.
    public let type: String
    /// Rows and columns; a vector is one row.
    public let shape: [Int]
    /// Spectrum's ratio; nil if it is infinite, and for a difference.
    public let spectrumRatio: Double?
    /// Spectrum's threshold; nil for a difference.
    public let spectrumThreshold: Double?
    /// Everything else.
    public let measures: SpectrumMeasures

    /// An entry of given parts.
    public init(
      module: String, type: String, shape: [Int], signalToNoise: SignalToNoise?, measures: SpectrumMeasures
    ) {
      self.module = module
      self.type = type
      self.shape = shape
      spectrumRatio = signalToNoise.flatMap { $0.ratio.isFinite ? $0.ratio : nil }
      spectrumThreshold = signalToNoise?.threshold
      self.measures = measures
    }
  }

  /// The same as comma-separated values with a line of names.
  public var table: String {
    let names = [
      "module", "type", "rows", "columns", "spectrum_ratio", "largest", "smallest", "noise", "noise_edge",
      "above_edge", "energy_above_edge", "stable_rank", "entropy_rank", "power_law_alpha", "condition_number",
    ]
    let lines = modules.map { entry in
      let measures = entry.measures
      let numbers: [Double?] = [
        entry.spectrumRatio, measures.largest, measures.smallest, measures.noise, measures.noiseEdge,
        Double(measures.aboveEdge), measures.energyAboveEdge, measures.stableRank, measures.entropyRank,
        measures.powerLaw?.alpha, measures.conditionNumber,
      ]
      return [entry.module, entry.type, "\(entry.shape[0])", "\(entry.shape[1])"]
        + numbers.map { $0.map(pythonText) ?? "" }
    }
    return ([names] + lines).map { $0.joined(separator: ",") + "\n" }.joined()
  }
}
