public import Adapters
public import Foundation

/// `report.json` of an adapter that was made of a decomposition's folder.
public struct AdapterReport: Sendable, Codable {
  /// What was asked for.
  public let request: AdapterRequest
  /// The program's version.
  public let version: String
  /// The decomposition's format, version, models and options.
  public let decomposition: Decomposition
  /// Wall-clock seconds, from the opened folder to the last file.
  public let seconds: Double
  /// One record a module, in the decomposition's order.
  public let modules: [ModuleRecord]
  /// One record for each tensor that was not decomposed.
  public let leftOut: [LeftOutRecord]
  /// Numbers in all factors.
  public let parameterCount: Int
  /// Sentences of the decomposition, and on what could not be had of it.
  public let notes: [String]

  /// What the folder says of its origin.
  public struct Decomposition: Sendable, Codable {
    /// The format of the folder.
    public let format: String
    /// The version of the program that made it.
    public let version: String
    /// The base model.
    public let base: String
    /// The fine-tuned model.
    public let tuned: String?
    /// How it was made.
    public let options: [JointRecord.Option]

    init(_ record: DecompositionRecord) {
      format = record.format
      version = record.version
      base = record.base
      tuned = record.tuned
      options = record.options
    }
  }

  /// The line a person wants to read at the end.
  public var summary: String {
    var parts = [
      "\(modules.adaptedCount) of \(modules.count) modules", "\(parameterCount) parameters",
      String(format: "%.2f s", seconds),
      String(format: "%.2f %% of the energy kept", 100 * modules.energyKept),
    ]
    if let worst = modules.worst {
      parts.append(String(format: "worst %@ %.2f %%", worst.module, 100 * worst.energyKept))
    }
    return parts.joined(separator: ", ")
  }

  /// The file's bytes.
  public func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}
