public import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Writes an adapter with other ranks: module by module, on one rank, twice over the factors.
///
/// The first time finds every module's singular values, of which the rules choose; the second time writes.
public struct ResizeJob {
  private let request: ResizeRequest

  /// A job for a request.
  public init(_ request: ResizeRequest) { self.request = request }

  /// Fills a folder and publishes it.
  ///
  /// - Parameter folder: The output.
  /// - Returns: What became of every module.
  /// - Throws: What is wrong with the adapter or the rules, or what the device has against the output; the folder is
  ///   then not published.
  public func run(into folder: OutputFolder) throws -> ResizeReport {
    try folder.publishing {
      let adapter = try PEFTAdapter.open(request.adapterPath)
      let type = request.factorType ?? adapter.factorType
      let reader = DeltaReader()
      let spectra = try adapter.modules.map { try ResizableModule($0, with: reader).spectrum }
      let chosen = try request.rules.choices(
        for: spectra, bytesPerNumber: type.elementType.bitWidth / 8,
        byteCount: { try adapter.layout($0, type, keeping: []).largestByteCount })
      guard chosen.choices.contains(where: { !$0.numbers.isEmpty }) else {
        throw ResizeError.nothingLeft(adapter: adapter.path, moduleCount: spectra.count)
      }
      let records = try write(adapter, chosen.choices, as: type, to: folder.contentsPath, reader)
      let report = ResizeReport(
        adapter: adapter.path, rules: request.rules, modules: records, notes: chosen.notes)
      try writeDurably(encodedJSON(report), to: folder.contentsPath + "/report.json")
      return report
    }
  }

  private func write(
    _ adapter: PEFTAdapter, _ choices: [TripletChoice], as type: FactorType, to path: String,
    _ reader: DeltaReader
  ) throws -> [ResizeReport.Module] {
    // PEFT keeps a change of bias beside factors only.
    let ranks = zip(adapter.modules, choices).map {
      $0.bias == nil ? $1.numbers.count : max(1, $1.numbers.count)
    }
    let layout = try adapter.layout(ranks, type)
    var writer = try PEFTAdapterWriter(
      folder: path, layout: layout,
      description: adapter.description(isWhole: choices.allSatisfy { !$0.numbers.isEmpty }))
    var records: [ResizeReport.Module] = []
    for (index, (module, choice)) in zip(adapter.modules, choices).enumerated() {
      let old = try ResizableModule(module, with: reader)
      let bias = try scaledBias(of: module, reader)
      guard !choice.numbers.isEmpty || bias != nil else {
        try writer.omit(module: index)
        records.append(.init(module, old.values, choice, writtenResidual: norm(old.values)))
        continue
      }
      let factors = choice.numbers.isEmpty ? zeroFactors(of: module) : old.factors(choice)
      try writer.write(a: factors.a, b: factors.b, bias: bias, module: index)
      let residual = try old.distance(to: type.rounded(factors))
      records.append(.init(module, old.values, choice, writtenResidual: residual))
    }
    for index in layout.savable.indices { try writer.writeSavable(at: index, with: reader) }
    try writeDurably(writer.finish().encoded(), to: path + "/adapter_config.json")
    return records
  }

  /// The change of bias as it is at a scale of 1.
  private func scaledBias(of module: PEFTAdapter.Module, _ reader: DeltaReader) throws -> Matrix<Float>? {
    guard let bias = try module.readBias(with: reader) else { return nil }
    var scaled = Matrix<Float>(uninitializedRows: 1, columns: bias.columnCount)
    bias.scaleRows(by: [Float(module.scale)], into: &scaled)
    return scaled
  }

  private func zeroFactors(of module: PEFTAdapter.Module) -> ModuleFactors {
    ModuleFactors(
      a: Matrix(repeating: 0, rows: 1, columns: module.inputCount),
      b: Matrix(repeating: 0, rows: module.outputCount, columns: 1), scale: 1)
  }
}

extension PEFTAdapter {
  /// The type of all factors; single precision if they differ or are of another type.
  fileprivate var factorType: FactorType {
    let types = Set(modules.flatMap { [$0.a.elementType, $0.b.elementType] })
    return FactorType.allCases.first { types == [$0.elementType] } ?? .f32
  }

  fileprivate func layout(_ ranks: [Int], _ type: FactorType) throws -> AdapterLayout {
    try layout(ranks, type, keeping: saved)
  }
}

extension FactorType {
  /// Factors as they will be read.
  fileprivate func rounded(_ factors: borrowing ModuleFactors) -> ModuleFactors {
    let (a, b) = (elementType.encode(factors.a), elementType.encode(factors.b))
    return ModuleFactors(
      a: elementType.decode(a, rows: factors.a.rowCount, columns: factors.a.columnCount),
      b: elementType.decode(b, rows: factors.b.rowCount, columns: factors.b.columnCount),
      scale: factors.scale)
  }
}

func norm(_ values: [Double]) -> Double { values.reversed().reduce(0) { $0 + $1 * $1 }.squareRoot() }

/// What a person asked for of a resizing.
public struct ResizeRequest: Sendable {
  /// The adapter's folder.
  public var adapterPath: String
  /// Which singular values stay, and what they become.
  public var rules: TripletRules
  /// The type of the factors; nil for that of the adapter's.
  public var factorType: FactorType?

  /// A request of given parts.
  public init(adapterPath: String, rules: TripletRules, factorType: FactorType? = nil) {
    self.adapterPath = adapterPath
    self.rules = rules
    self.factorType = factorType
  }
}
