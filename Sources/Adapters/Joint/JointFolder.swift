internal import Checkpoints
internal import Foundation
public import LinearAlgebra
internal import WeightSources

/// The folder of a joint decomposition: `decomposition.json`, and the groups' tensors in safetensors files.
///
/// All tensors are F32 and row-major. With L layers, T fine-tuned models (the dimension is left out if T = 1),
/// outputs m and inputs n, and Δ(t, l) the m × n difference of fine-tune t in layer l:
///
/// `tucker`: Δ(t, l) ≈ out_basis · core(t, l) · in_basisᵀ
/// - `<group>.out_basis` (m × r₁) and `<group>.in_basis` (n × r₂), orthonormal columns
/// - `<group>.core` (T × L × r₁ × r₂)
/// - with `--layer-rank`: `<group>.layer_basis` (L × r₃) and `<group>.core` (T × r₃ × r₁ × r₂), and core(t, l) is
///   Σₖ layer_basis(l, k) · core(t, k)
///
/// `cp`: Δ(t, l) ≈ Σᵣ weights(r) · tuned(t, r) · layer(l, r) · out(·, r) · in(·, r)ᵀ
/// - `<group>.weights` (R), positive and descending
/// - `<group>.out` (m × R), `<group>.in` (n × R), `<group>.layer` (L × R), and `<group>.tuned` (T × R) if T > 1: columns
///   of length 1. The largest entry of each is positive, but for `tuned`, or `layer` if T = 1.
///
/// `shared`: with a basis on the outputs Δ(t, l) ≈ out_basis · coefficients(t, l), on the inputs
/// Δ(t, l) ≈ coefficients(t, l) · in_basisᵀ
/// - `<group>.out_basis` (m × r) and `<group>.coefficients` (T × L × r × n), or
/// - `<group>.in_basis` (n × r) and `<group>.coefficients` (T × L × m × r)
public struct JointFolder: Sendable {
  /// Where it is.
  public let path: String
  /// What it says of itself.
  public let record: JointRecord
  private let locations: [String: TensorLocation]

  /// One tensor, of any number of dimensions.
  public struct Tensor: Sendable {
    /// Its dimensions, outermost first.
    public let shape: [Int]
    /// The product of all dimensions but the last × the last.
    public let elements: SharedMatrix<Float>

    /// Takes over a matrix as a tensor whose last dimension is its columns.
    public init(_ elements: SharedMatrix<Float>, shape: [Int]) {
      precondition(shape.reduce(1, *) == elements.matrix.count, "the elements do not fill the tensor")
      self.shape = shape
      self.elements = elements
    }
  }

  /// The record's file inside a folder.
  public static let recordFile = "decomposition.json"

  /// Opens a finished folder and checks that every tensor is there with the shape that the record demands.
  ///
  /// - Throws: `JointFolderError` if it is none, `CheckpointError` for a damaged file.
  public init(path: String) throws {
    self.path = path
    guard let data = FileManager.default.contents(atPath: path + "/" + Self.recordFile) else {
      throw JointFolderError.noRecord(path: path)
    }
    do { record = try JSONDecoder().decode(JointRecord.self, from: data) } catch {
      throw JointFolderError.unreadable(path: path)
    }
    guard record.format == JointRecord.currentFormat else {
      throw JointFolderError.otherFormat(path: path, format: record.format)
    }
    var found: [String: TensorLocation] = [:]
    for group in record.groups {
      guard group.isConsistent else {
        throw JointFolderError.inconsistentGroup(path: path, group: group.name)
      }
      let file = path + "/" + group.file
      for tensor in try SafetensorsHeader.read(path: file).tensors { found[tensor.name] = tensor }
      for (name, shape) in group.tensorShapes(record.method) {
        let whole = "\(group.name).\(name)"
        guard let tensor = found[whole], tensor.elementType == .f32, tensor.shape == shape else {
          throw JointFolderError.wrongTensor(
            file: file, tensor: whole, expected: shape, found: found[whole]?.shape)
        }
      }
    }
    locations = found
  }

  /// Reads one tensor of a group, such as `out_basis`.
  ///
  /// - Throws: `CheckpointError` if its file cannot be read any more.
  public func tensor(_ name: String, of group: JointGroupRecord) throws -> Tensor {
    guard let location = locations["\(group.name).\(name)"] else {
      preconditionFailure("group '\(group.name)' has no \(name)")
    }
    let bytes = try RandomAccessFile(path: location.filePath)
      .bytes(location.offset..<location.offset + location.byteCount, of: location.name)
    let columns = location.shape.last ?? 1
    let matrix = ElementType.f32.decode(
      bytes, rows: location.elementCount / max(1, columns), columns: columns)
    return Tensor(SharedMatrix(matrix), shape: location.shape)
  }
}

extension JointGroupRecord {
  /// Whether its numbers can belong to one group.
  fileprivate var isConsistent: Bool {
    let sizes =
      shape + [modules.count, tunedCount] + [outRank, inRank, layerRank, componentCount].compactMap(\.self)
    return shape.count == 2 && sizes.allSatisfy { $0 > 0 } && energies.count == modules.count * tunedCount
      && residuals.count == energies.count
  }

  /// The names (without the group's) and shapes of its tensors.
  public func tensorShapes(_ method: JointMethod) -> [(name: String, shape: [Int])] {
    let (m, n, layers) = (shape[0], shape[1], modules.count)
    let tuned = tunedCount > 1 ? [tunedCount] : []
    switch method {
    case .tucker:
      let (left, right) = (outRank ?? m, inRank ?? n)
      let basis = layerRank.map { [("layer_basis", [layers, $0])] } ?? []
      return [("out_basis", [m, left]), ("in_basis", [n, right])] + basis
        + [("core", tuned + [layerRank ?? layers, left, right])]
    case .cp:
      let count = componentCount ?? 0
      return [("weights", [count]), ("out", [m, count]), ("in", [n, count]), ("layer", [layers, count])]
        + (tunedCount > 1 ? [("tuned", [tunedCount, count])] : [])
    case .shared:
      if let outRank {
        return [("out_basis", [m, outRank]), ("coefficients", tuned + [layers, outRank, n])]
      }
      let rank = inRank ?? 0
      return [("in_basis", [n, rank]), ("coefficients", tuned + [layers, m, rank])]
    }
  }
}

/// Why a folder is no joint decomposition.
public enum JointFolderError: Error, CustomStringConvertible, Equatable, Sendable {
  /// There is no `decomposition.json`.
  case noRecord(path: String)
  /// It is no record of this program.
  case unreadable(path: String)
  /// It was written by another version.
  case otherFormat(path: String, format: String)
  /// A tensor is missing or has another shape.
  case wrongTensor(file: String, tensor: String, expected: [Int], found: [Int]?)
  /// A group's record contradicts itself.
  case inconsistentGroup(path: String, group: String)
  /// A tensor holds an entry that is no number.
  case notFinite(file: String, tensor: String)

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noRecord(let path):
      "\(path): holds no \(JointFolder.recordFile); give a folder that 'unbraid joint' has made"
    case .unreadable(let path):
      "\(path)/\(JointFolder.recordFile): is no record of a joint decomposition; make the folder again"
    case .otherFormat(let path, let format):
      "\(path): has the format '\(format)', and this program reads '\(JointRecord.currentFormat)'; make it again"
    case .wrongTensor(let file, let tensor, let expected, let found):
      "\(file): tensor '\(tensor)' "
        + (found.map { "has shape \($0)" } ?? "is missing")
        + " where \(expected) is expected; make the folder again"
    case .inconsistentGroup(let path, let group):
      "\(path)/\(JointFolder.recordFile): the record of group '\(group)' contradicts itself; make the folder again"
    case .notFinite(let file, let tensor):
      "\(file): tensor '\(tensor)' holds an entry that is no finite number; make the folder again"
    }
  }
}
