internal import Checkpoints

extension LayerRatios {
  /// Reads a result file of the published tool or of this program.
  ///
  /// Either layout is accepted: modules with ratio and type, or types with the ratios of their modules, as in the sorted
  /// file and in some published ones; so are Python's tokens `Infinity`, `-Infinity` and `NaN`.
  ///
  /// - Throws: `LayerRatiosError` or `CheckpointError` for a file that is neither.
  public init(path: String) throws {
    let file = try RandomAccessFile(path: path)
    try self.init(parsing: file.bytes(0..<file.size, of: "results"), path: path)
  }

  /// Reads the bytes of such a file; the path is for errors.
  public init(parsing bytes: [UInt8], path: String) throws {
    let document: StrictJSON
    do { document = try StrictJSON(parsing: bytes, acceptsNonFinite: true) } catch {
      throw CheckpointError.malformedJSON(path: path, position: error.position, problem: error.problem)
    }
    guard case .object(let members) = document, !members.isEmpty else {
      throw LayerRatiosError(path: path, problem: "holds no modules")
    }
    entries = try members.flatMap { key, value throws(LayerRatiosError) in
      guard case .object(let fields) = value else {
        throw LayerRatiosError(path: path, problem: "has no object under '\(key)'")
      }
      return try Self.entries(key, fields, path: path)
    }
  }

  private static func entries(
    _ key: String, _ fields: [(key: String, value: StrictJSON)], path: String
  ) throws(LayerRatiosError) -> [Entry] {
    if case .string(let type) = fields.first(where: { $0.key == "type" })?.value {
      guard let ratio = fields.first(where: { $0.key == "snr" }).flatMap({ number($0.value) }) else {
        throw LayerRatiosError(path: path, problem: "has no number 'snr' for module '\(key)'")
      }
      return [Entry(module: key, type: type, ratio: ratio)]
    }
    var entries: [Entry] = []
    for (module, value) in fields {
      guard let ratio = number(value) else {
        throw LayerRatiosError(path: path, problem: "has no number for '\(module)' under '\(key)'")
      }
      entries.append(Entry(module: module, type: key, ratio: ratio))
    }
    return entries
  }

  private static func number(_ value: StrictJSON) -> Double? {
    guard case .number(let digits) = value else { return nil }
    return Double(digits)
  }
}

/// Why a file is no result of a scan.
public struct LayerRatiosError: Error, CustomStringConvertible, Equatable, Sendable {
  let path: String
  let problem: String

  /// One sentence with the file, what is wrong and the remedy.
  public var description: String {
    "\(path): \(problem); give a snr_results file, or scan the model anew"
  }
}
