internal import Adapters
internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

extension ExtractionPlan {
  /// What tells this job from others: an interrupted one is carried on only by its like.
  ///
  /// - Parameter version: The program's.
  /// - Returns: The identity, which the same command gives again as long as nobody changes the models.
  public func identity(version: String) -> JobIdentity {
    var paths = request.basePath.map { [("BASE", $0)] } ?? []
    paths += [("TUNED", request.tunedPath), ("--base-name", request.baseName)]
    let result = product == .triplets ? [("result", "a decomposition")] : []
    return JobIdentity(
      options: [("version", version)] + paths + result + optionRows, inputs: inputs, units: units.map(line),
      circumstances: [("BLAS kernels", BLASLibrary.kernels)])
  }

  /// What a unit's number stands for.
  private func line(_ unit: WorkUnit) -> String {
    switch unit {
    case .decompose(let index):
      "decompose \(modules[index].name) \(costs[index].method.rawValue) \(layout.modules[index].largestRank)"
    case .measure(let index): "measure \(leftOut[index].pair.name)"
    }
  }

  /// The options as they were resolved, named as on the command line.
  var optionRows: [(name: String, value: String)] {
    var rows: [(name: String, value: String)] = []
    switch request.rank {
    case .number(let number): rows.append(("--rank", "\(number)"))
    case .fraction(let fraction): rows.append(("--rank-fraction", "\(fraction)"))
    }
    rows += [
      ("--tolerance", "\(request.tolerance)"), ("--method", request.method.rawValue),
      ("--seed", "\(request.seed)"),
    ]
    if product != .triplets { rows.append(("--factor-dtype", layout.factorType.rawValue)) }
    rows += request.selection.optionRows
    let flags = [
      ("--save-norms", request.savesNorms), ("--bias", request.savesBias),
      ("--mixed-dtypes", request.acceptsMixedTypes),
    ]
    return rows + flags.filter(\.1).map { ($0.0, "on") }
  }
}

extension ModuleSelection.Options {
  /// The options that choose modules, named as on the command line.
  var optionRows: [(name: String, value: String)] {
    let names = targets.isEmpty ? [] : [("--targets", targets.joined(separator: ","))]
    let patterns = include.map { ("--include", $0) } + exclude.map { ("--exclude", $0) }
    let flags = [("--embeddings", takesEmbeddings), ("--head", takesHead)]
    return names + patterns + flags.filter(\.1).map { ($0.0, "on") }
  }
}
