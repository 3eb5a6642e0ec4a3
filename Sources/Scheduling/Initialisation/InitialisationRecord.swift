public import Adapters
public import Checkpoints
internal import Foundation
public import Initialisations

/// `initialisation.json`: what was made of which model, and how to go back.
public struct InitialisationRecord: Sendable, Codable {
  /// Tells the file from others.
  public let format: String
  /// The program's version.
  public let version: String
  /// The initialisation.
  public let method: InitialisationMethod
  /// The original model, as it was given.
  public let model: String
  /// The options as they were resolved, named as on the command line.
  public let options: [JobIdentity.Option]
  /// The files that were read, as they were.
  public let inputs: [InputFile]
  /// The type of the factors.
  public let factorType: FactorType
  /// The modules, by name.
  public let modules: [InitialisedModule]
  /// What else a person should know.
  public let notes: [String]

  /// The record's name in its folder.
  public static let fileName = "initialisation.json"
  private static let format = "unbraid initialisation 1"

  init(_ plan: InitialisationPlan, version: String, modules: [InitialisedModule]) {
    format = Self.format
    self.version = version
    method = plan.request.method
    model = plan.request.modelPath
    options = plan.optionRows.map { JobIdentity.Option(name: $0.name, value: $0.value) }
    inputs = plan.inputs
    factorType = plan.factorType
    self.modules = modules.sorted { $0.module < $1.module }
    notes = plan.notes
  }

  /// The record of a folder; nil if it has none.
  public static func read(folder: String) -> InitialisationRecord? {
    let data = FileManager.default.contents(atPath: folder + "/" + fileName)
    let record = data.flatMap { try? JSONDecoder().decode(InitialisationRecord.self, from: $0) }
    return record?.format == format ? record : nil
  }

  /// The record of a folder that this very job has completed; nil if it holds anything else.
  public static func completed(at path: String, _ plan: InitialisationPlan, version: String)
    -> InitialisationRecord?
  {
    guard let record = read(folder: path) else { return nil }
    let options = plan.optionRows.map { JobIdentity.Option(name: $0.name, value: $0.value) }
    let isSame =
      record.version == version && record.inputs == plan.inputs && record.options == options
      && record.model == plan.request.modelPath
    return isSame ? record : nil
  }

  /// The line a person wants to read at the end.
  public var summary: String {
    let ranks = modules.map(\.rank)
    let trained = modules.reduce(0) { sum, module in
      switch method {
      case .svdTraining: sum + module.rank
      case .loraXS: sum + module.rank * module.rank
      default: sum + module.rank * (module.shape[0] + module.shape[1])
      }
    }
    let energy = modules.reduce(0) { $0 + $1.energy }
    let product = modules.reduce(0) { $0 + $1.productEnergy }
    let rank = ranks.min() == ranks.max() ? "\(ranks.max() ?? 0)" : "\(ranks.min() ?? 0)–\(ranks.max() ?? 0)"
    let damped = modules.compactMap(\.damping).filter { $0 > 0.011 }.count
    return "\(method.rawValue) of \(modules.count) modules, rank \(rank), \(trained) numbers to train, "
      + String(
        format: "%.2f %% of the weights' energy in the factors", energy > 0 ? 100 * product / energy : 0)
      + (damped > 0 ? ", \(damped) covariances damped more than usual" : "")
  }

  /// The file's bytes.
  func encoded() throws -> Data { try encodedJSON(self) }
}
