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
    let paths = [("BASE", request.basePath), ("TUNED", request.tunedPath), ("--base-name", request.baseName)]
    return JobIdentity(
      options: [("version", version)] + paths + optionRows, inputs: inputs, units: units.map(line),
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
      ("--seed", "\(request.seed)"), ("--factor-dtype", layout.factorType.rawValue),
    ]
    let selection = request.selection
    if !selection.targets.isEmpty { rows.append(("--targets", selection.targets.joined(separator: ","))) }
    rows += selection.include.map { ("--include", $0) } + selection.exclude.map { ("--exclude", $0) }
    let flags = [
      ("--embeddings", selection.takesEmbeddings), ("--head", selection.takesHead),
      ("--save-norms", request.savesNorms), ("--bias", request.savesBias),
      ("--mixed-dtypes", request.acceptsMixedTypes),
    ]
    return rows + flags.filter(\.1).map { ($0.0, "on") }
  }

  /// Sees that no file of the models was changed since the plan was made.
  ///
  /// - Throws: `OutputError.inputChanged` for the first one that was, `CheckpointError` if one cannot look.
  package func checkInputs() throws {
    for input in inputs {
      guard try input.isUnchanged() else { throw OutputError.inputChanged(path: input.path) }
    }
  }
}
