internal import Checkpoints
internal import Foundation
public import LinearAlgebra
internal import WeightSources

/// The folder of a decomposition module by module: `decomposition.json`, and tensors in safetensors files with an index.
///
/// For each module that changed, Δ ≈ U·diag(S)·Vh:
/// - `<module>.U` (out × k, F32), orthonormal columns
/// - `<module>.S` (k, F64), descending: in the precision they were found in, for factors that are an extraction's to the
///   bit
/// - `<module>.Vh` (k × in, F32), orthonormal rows
///
/// and for vectors that changed, under the tensor's own name, the fine-tuned values of a normalisation as they are, those of
/// BF16 as F32, or `<tensor>.difference` (F32), tuned − base of a decomposed module's bias. Everything is row-major.
public struct DecompositionFolder: Sendable {
  /// Where it is.
  public let path: String
  /// What it says of itself.
  public let record: DecompositionRecord
  private let tensors: [String: TensorLocation]

  /// The record's file inside a folder of any kind of decomposition.
  public static let recordFile = "decomposition.json"
  /// What the names of the files with tensors begin with.
  public static let tensorFiles = "decomposition"

  /// Opens a finished folder and checks that every tensor is there with the type and shape that the record demands.
  ///
  /// - Throws: `DecompositionFolderError` if it is none, `CheckpointError` for a damaged file.
  public init(path: String) throws {
    let format = try Self.format(of: path)
    guard format == DecompositionRecord.currentFormat else {
      throw DecompositionFolderError.otherFormat(path: path, format: format)
    }
    let data = FileManager.default.contents(atPath: path + "/" + Self.recordFile) ?? Data()
    do { record = try JSONDecoder().decode(DecompositionRecord.self, from: data) } catch {
      throw DecompositionFolderError.unreadable(path: path)
    }
    guard record.isSound else { throw DecompositionFolderError.unreadable(path: path) }
    self.path = path
    tensors = try Checkpoint.open(path).tensors
    for (name, type, shape) in record.expectedTensors {
      guard let tensor = tensors[name], tensor.elementType == type, tensor.shape == shape else {
        throw DecompositionFolderError.wrongTensor(
          path: path, tensor: name, expected: shape, found: tensors[name]?.shape)
      }
    }
  }

  /// What `decomposition.json` of a folder says that it is.
  ///
  /// - Throws: `DecompositionFolderError` if there is none.
  public static func format(of path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path + "/" + recordFile) else {
      throw DecompositionFolderError.noRecord(path: path)
    }
    guard let head = try? JSONDecoder().decode(Head.self, from: data) else {
      throw DecompositionFolderError.unreadable(path: path)
    }
    return head.format
  }

  private struct Head: Decodable {
    let format: String
  }

  /// A module's singular values, descending.
  ///
  /// - Throws: `CheckpointError` if its file cannot be read any more, `DecompositionFolderError.unsound` for values that
  ///   are none.
  public func values(of module: DecomposedModule) throws -> [Double] {
    guard module.rank > 0 else { return [] }
    let location = location(module.tensorNames.values)
    let values = numbers(ofStored: try location.bytes()[...])
    // Positive, finite, descending: whatever else is in the file, nothing that follows needs to look again.
    let isSound =
      values.allSatisfy { $0.isFinite && $0 > 0 } && zip(values, values.dropFirst()).allSatisfy { $0 >= $1 }
    guard isSound else {
      throw DecompositionFolderError.unsound(file: location.filePath, tensor: location.name)
    }
    return values
  }

  /// Some of a module's triplets: columns of U and rows of Vh.
  public struct Vectors: ~Copyable {
    /// out × as many as were asked for.
    public let u: Matrix<Float>
    /// As many × in.
    public let vh: Matrix<Float>
  }

  /// Reads some of a module's triplets.
  ///
  /// - Parameters:
  ///   - module: One of the record's.
  ///   - kept: Numbers of triplets, ascending.
  /// - Returns: The triplets in that order.
  /// - Throws: `CheckpointError` if a file cannot be read any more, `DecompositionFolderError.notFinite` for entries that
  ///   are no numbers.
  public func vectors(of module: DecomposedModule, keeping kept: [Int]) throws -> Vectors {
    let (u, vh) = (location(module.tensorNames.u), location(module.tensorNames.vh))
    let file = try RandomAccessFile(path: vh.filePath)
    let rowBytes = 4 * module.inputCount
    var rows: [UInt8] = []
    for run in consecutiveRuns(of: kept) {
      let start = vh.offset + run.lowerBound * rowBytes
      rows += try file.bytes(start..<start + run.count * rowBytes, of: vh.name)
    }
    let columns = selectedColumns(
      kept, of: try u.bytes(), rowCount: module.outputCount, columnCount: module.rank, width: 4)
    let vectors = Vectors(
      u: ElementType.f32.decode(columns, rows: module.outputCount, columns: kept.count),
      vh: ElementType.f32.decode(rows, rows: kept.count, columns: module.inputCount))
    try check(vectors.u, of: u)
    try check(vectors.vh, of: vh)
    return vectors
  }

  private func check(_ vectors: borrowing Matrix<Float>, of location: TensorLocation) throws {
    guard vectors.firstNonFinite() == nil else {
      throw DecompositionFolderError.notFinite(file: location.filePath, tensor: location.name)
    }
  }

  /// The bytes of a vector in its own type; nil for one that did not change.
  ///
  /// - Throws: `CheckpointError` if its file cannot be read any more.
  public func bytes(of vector: ModelVector) throws -> [UInt8]? {
    vector.isStored ? vector.restored(try location(vector.nameInFolder).bytes()) : nil
  }

  private func location(_ name: String) -> TensorLocation {
    guard let location = tensors[name] else { preconditionFailure("'\(name)' is in no record") }
    return location
  }
}

extension DecompositionRecord {
  /// Whether its numbers can be those of a decomposition: whoever reads it afterwards need not look again.
  fileprivate var isSound: Bool {
    Set(modules.map(\.module)).count == modules.count && Set(modules.map(\.path)).count == modules.count
      && Set(vectors.map(\.tensor)).count == vectors.count && modules.allSatisfy(\.isSound)
      && vectors.allSatisfy { $0.length > 0 }
  }

  /// The tensors that the folder must hold.
  fileprivate var expectedTensors: [(name: String, type: ElementType, shape: [Int])] {
    modules.filter { $0.rank > 0 }.flatMap { module in
      let names = module.tensorNames
      return [
        (names.u, ElementType.f32, [module.outputCount, module.rank]),
        (names.values, .f64, [module.rank]), (names.vh, .f32, [module.rank, module.inputCount]),
      ]
    } + vectors.filter(\.isStored).map { ($0.nameInFolder, $0.storedType, [$0.length]) }
  }
}

extension DecomposedModule {
  fileprivate var isSound: Bool {
    let measures = [norm, residual, tailEnergy, estimatedLoss, binadeEnergy]
    guard shape.count == 2, let shortSide = shape.min(), shortSide > 0 else { return false }
    return (0...shortSide).contains(rank) && (rank...shortSide).contains(requestedRank)
      && measures.allSatisfy(\.isFinite) && norm >= 0 && residual >= 0
      && expert.map { (0..<$0.count).contains($0.index) } ?? true
  }

  /// The names of its three tensors.
  var tensorNames: (u: String, values: String, vh: String) { tripletNames(ofModule: module) }
}

/// The names of a module's three tensors in a decomposition's folder.
func tripletNames(ofModule module: String) -> (u: String, values: String, vh: String) {
  (module + ".U", module + ".S", module + ".Vh")
}

extension ModelVector {
  /// The name of its tensor in a decomposition's folder.
  var nameInFolder: String { kind == .difference ? tensor + ".difference" : tensor }
}

/// Why a folder is no decomposition that an adapter can be made of.
public enum DecompositionFolderError: Error, CustomStringConvertible, Equatable, Sendable {
  /// There is no `decomposition.json`.
  case noRecord(path: String)
  /// It is no record of this program.
  case unreadable(path: String)
  /// It was written by another version.
  case otherFormat(path: String, format: String)
  /// A tensor is missing, or has another type or shape.
  case wrongTensor(path: String, tensor: String, expected: [Int], found: [Int]?)
  /// Singular vectors have entries that are no numbers.
  case notFinite(file: String, tensor: String)
  /// Singular values are not positive and descending.
  case unsound(file: String, tensor: String)

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noRecord(let path):
      "\(path): holds no \(DecompositionFolder.recordFile); give a folder that 'unbraid decompose' has made"
    case .unreadable(let path):
      "\(path)/\(DecompositionFolder.recordFile): is no record of a decomposition; make the folder again"
    case .otherFormat(let path, let format):
      "\(path): has the format '\(format)', and '\(DecompositionRecord.currentFormat)' is read here; make it again"
    case .wrongTensor(let path, let tensor, let expected, let found):
      "\(path): tensor '\(tensor)' "
        + (found.map { $0 == expected ? "has another type" : "has shape \($0)" } ?? "is missing")
        + " where \(expected) is expected; make the folder again"
    case .notFinite(let file, let tensor):
      "\(file): '\(tensor)' holds entries that are no finite numbers; make the folder again"
    case .unsound(let file, let tensor):
      "\(file): '\(tensor)' holds values that are not positive and descending; make the folder again"
    }
  }
}
