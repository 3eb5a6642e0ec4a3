internal import Foundation
internal import Scheduling

/// The folder of a sweep: a folder for each adapter, its row, its log, and the tables.
///
/// Rows are files of their own, so that the tasks of an array job write side by side; whoever finishes something
/// makes the tables anew from the rows that there are.
final class SweepFolder {
  let path: String
  /// The names of the plan's experiments, in the order of the tables.
  private let order: [String]
  private var lastTables = Date.distantPast

  /// Between two tables while experiments finish fast.
  private static let tableInterval = 1.0
  /// Longest wait for another task that makes the tables.
  private static let tablePatience = 60.0

  /// Makes what is missing of the folder.
  init(_ plan: SweepPlan) throws {
    path = plan.outputPath
    order = plan.experiments.map(\.name)
    for folder in [rowsPath, path + "/logs", path + "/work"] { _ = try makeFolders(folder) }
  }

  private var rowsPath: String { path + "/rows" }
  func adapterPath(_ name: String) -> String { "\(path)/\(name)" }
  func logPath(_ name: String) -> String { "\(path)/logs/\(name).log" }
  func workPath(_ group: String) -> String { "\(path)/work/\(group)" }
  var searchPath: String { path + "/search.json" }
  var bestEditPath: String { path + "/best-edit.yaml" }
  private func rowPath(_ name: String) -> String { "\(rowsPath)/\(name).json" }

  /// The row of an experiment; nil if there is none that can be read.
  func row(_ name: String) -> ExperimentRow? {
    FileManager.default.contents(atPath: rowPath(name)).flatMap {
      try? JSONDecoder().decode(ExperimentRow.self, from: $0)
    }
  }

  /// Whether an experiment's adapter is there.
  func hasAdapter(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: adapterPath(name) + "/adapter_config.json")
  }

  /// Removes an adapter that this sweep has written.
  func removeAdapter(_ name: String) throws {
    if hasAdapter(name) { try removeAll(adapterPath(name)) }
  }

  /// Writes a row, and now and then the tables.
  func write(_ row: ExperimentRow) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try writeDurably(encoder.encode(row), to: rowPath(row.name))
    if Date().timeIntervalSince(lastTables) > Self.tableInterval { try writeTables() }
  }

  /// Removes a row.
  func removeRow(_ name: String) throws { try removeAll(rowPath(name)) }

  /// All rows: the plan's experiments in their order, then those of searches.
  func rows() -> [ExperimentRow] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: rowsPath)) ?? []
    let names = Set(files.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) })
    return (order.filter(names.contains) + names.subtracting(order).sorted()).compactMap(row)
  }

  /// Makes `results.csv` and `results.json` of the rows that there are.
  func writeTables() throws {
    // Two tasks at once would else leave the table of the one that had read first.
    let lock = try FolderLock(folder: rowsPath, patience: .init(leave: Self.tablePatience))
    defer { withExtendedLifetime(lock) {} }
    let table = ResultsTable(rows())
    try writeDurably(Data(table.csv.utf8), to: path + "/results.csv")
    try writeDurably(try table.json(), to: path + "/results.json")
    lastTables = Date()
  }
}
