import Foundation
import TestSupport
import Testing

/// A pair of models and a plan beside them.
struct SweepWorkspace {
  let models: Workspace
  var folder: TemporaryFolder { models.folder }
  var planPath: String { folder.file("plan.yaml") }
  var outputPath: String { folder.file("sweep") }

  /// A plan's first lines, for the pair of the workspace.
  static let head = """
    output: sweep
    pairs:
      - {name: a, base: base, tuned: tuned}

    """

  /// Writes both models and the plan.
  init(_ pair: ModelPair = .small(), plan: String) throws {
    models = try Workspace(pair)
    try setPlan(plan)
  }

  func setPlan(_ text: String) throws { try folder.write(Array(text.utf8), to: "plan.yaml") }

  /// `unbraid sweep plan.yaml`.
  func run(_ options: [String] = [], ranks: Int? = nil) throws -> ProcessResult {
    try Workspace.run(["sweep", planPath] + options, ranks: ranks)
  }

  /// The same, which must succeed.
  func runWell(_ options: [String] = [], ranks: Int? = nil) throws {
    let result = try run(options, ranks: ranks)
    try #require(result.status == 0, "\(result.errorOutput)")
  }

  /// The row of an experiment in results.json, which must be there.
  func row(_ name: String) throws -> Row { try #require(try rows().first { $0.name == name }) }

  /// All rows of results.json.
  func rows() throws -> [Row] {
    try JSONDecoder().decode(
      [Row].self, from: Data(contentsOf: URL(filePath: outputPath + "/results.json")))
  }

  func adapter(_ name: String) throws -> AdapterFolder { try AdapterFolder("\(outputPath)/\(name)") }

  func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(outputPath)/\(name)", encoding: .utf8)
  }

  /// What the tests check of a row, under the names that stand in the file.
  struct Row: Decodable {
    let name: String
    let status: String
    let message: String?
    let adapter: Adapter?
    let evaluation: Evaluation?
    let isBest: Bool?

    struct Adapter: Decodable {
      let modules: Int
      let parameters: Int
      let bytes: Int
      let energyKept: Double
      let worstModule: String
      let worstEnergyKept: Double
    }

    struct Evaluation: Decodable {
      let outcome: Outcome
    }

    struct Outcome: Decodable {
      let status: String
      let values: [String: Value]
    }

    enum Value: Decodable, Equatable {
      case number(Double)
      case text(String)

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Double.self) {
          self = .number(number)
        } else {
          self = .text(try container.decode(String.self))
        }
      }
    }
  }
}
