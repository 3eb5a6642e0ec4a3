public import Adapters
public import WeightSources

/// What a person asked for of a decomposition's folder.
public struct AdapterRequest: Sendable, Codable, Equatable {
  /// The folder.
  public var folderPath: String
  /// Which modules; embeddings and the head are not treated differently.
  public var selection: ModuleSelection.Options
  /// Which singular values, and what they become.
  public var rules: TripletRules
  /// The type of the factors; nil for what the decomposition names.
  public var factorType: FactorType?
  /// alpha of every module; nil for each module's rank.
  public var alpha: Double?
  /// What the adapter calls its base model; nil for what the decomposition names.
  public var baseName: String?
  /// Store changed normalisations whole.
  public var savesNorms: Bool
  /// Store changes of bias.
  public var savesBias: Bool

  /// A request of given parts.
  public init(
    folderPath: String, selection: ModuleSelection.Options, rules: TripletRules, factorType: FactorType?,
    alpha: Double?, baseName: String?, savesNorms: Bool, savesBias: Bool
  ) {
    self.folderPath = folderPath
    self.selection = selection
    self.rules = rules
    self.factorType = factorType
    self.alpha = alpha
    self.baseName = baseName
    self.savesNorms = savesNorms
    self.savesBias = savesBias
  }

  /// The options as they were resolved, named as on the command line.
  var optionRows: [(name: String, value: String)] {
    var rows = rules.optionRows + selection.optionRows
    if let factorType { rows.append(("--factor-dtype", factorType.rawValue)) }
    if let alpha { rows.append(("--alpha", "\(alpha)")) }
    if savesNorms { rows.append(("--save-norms", "on")) }
    if savesBias { rows.append(("--bias", "on")) }
    return rows
  }
}

extension TripletRules {
  fileprivate var optionRows: [(name: String, value: String)] {
    let numbers: [(String, Double?)] = [
      ("--rank-fraction", limits.fraction), ("--energy", limits.energy), ("--sv-fro", limits.frobenius),
      ("--sv-ratio", limits.ratio), ("--sv-cumulative", limits.cumulative), ("--epsilon", limits.epsilon),
    ]
    var rows: [(name: String, value: String)] = limits.rank.map { [("--rank", "\($0)")] } ?? []
    rows += numbers.compactMap { name, value in value.map { (name, "\($0)") } }
    if limits.usesGavishDonoho { rows.append(("--gavish-donoho", "on")) }
    if let type = limits.noiseFloor { rows.append(("--noise-floor", type.rawValue)) }
    if limits.counting != .definition { rows.append(("--compat", limits.counting.rawValue)) }
    switch budget {
    case .parameters(let count): rows.append(("--budget-parameters", "\(count)"))
    case .bytes(let count): rows.append(("--budget", "\(count)"))
    case .energy(let share): rows.append(("--budget-energy", "\(share)"))
    case nil: break
    }
    return rows + edit.optionRows
  }
}

extension SpectrumEdit {
  fileprivate var optionRows: [(name: String, value: String)] {
    var rows = keep.map { ("--keep", $0.text) } + drop.map { ("--drop", $0.text) }
    rows += factors.map { ("--" + $0.kind.rawValue, $0.text) }
    if factors.contains(where: { $0.kind == .jitter }) { rows.append(("--seed", "\(seed)")) }
    if layers != .all { rows.append(("--layers", layers.text)) }
    if droppedLayers != .none { rows.append(("--drop-layers", droppedLayers.text)) }
    return rows.map { (name: $0.0, value: $0.1) }
  }
}
