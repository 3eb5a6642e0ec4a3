internal import Adapters
internal import Checkpoints
internal import WeightSources

/// What an adapter that is written anew has of the one it is made of.
extension PEFTAdapter {
  /// Its modules with other factors, and tensors that stay whole.
  ///
  /// - Parameters:
  ///   - ranks: The largest rank of each module.
  ///   - type: The type of the factors.
  ///   - kept: Those of its own tensors that go along.
  /// - Returns: The layout of the new adapter's file.
  /// - Throws: `AdapterError` if the parts do not go together.
  func layout(_ ranks: [Int], _ type: FactorType, keeping kept: [SavedTensor]) throws -> AdapterLayout {
    try AdapterLayout(
      modules: zip(modules, ranks).map { AdapterLayout.Module($0, rank: $1) },
      savable: kept.map { tensor in
        // Under the very name it has, which may not be that of the model's tensor.
        let name = tensor.location.name.dropFirst("base_model.model.".count)
        let module = modulePath(ofTensor: String(name))
        return .init(
          modulePath: module, parameter: String(name.dropFirst(module.count + 1)), location: tensor.location)
      }, factorType: type, writesBias: modules.contains { $0.bias != nil })
  }

  /// The configuration's other fields as they are; the targets too, if they still name exactly the modules there are.
  func description(isWhole: Bool) -> PEFTAdapterWriter.Description {
    var description = PEFTAdapterWriter.Description(
      baseModel: configuration.baseModelNameOrPath ?? "", taskType: configuration.taskType,
      fanInFanOut: configuration.fanInFanOut)
    if isWhole, let targets = configuration.targetModules, let exclusions = configuration.excludeModules {
      description.targets = .given(TargetModules(targets: targets, exclusions: exclusions))
    }
    description.modulesToSave = configuration.modulesToSave
    description.bias = configuration.bias
    description.ensuresWeightTying = configuration.ensuresWeightTying
    if modules.contains(where: { $0.expert != nil }) { description.version = configuration.version }
    return description
  }
}
