internal import Adapters
internal import Checkpoints
internal import Foundation
internal import JointDecomposition
internal import LinearAlgebra
internal import WeightSources

/// What came of one group, as it goes into the journal: its record and its tensors; nothing if it did not change.
struct JointGroupResult {
  /// Nil for a group that did not change.
  var record: JointGroupRecord?
  /// Names without the group's.
  var tensors: [(name: String, tensor: JointFolder.Tensor)] = []
  /// Seconds the group took.
  var seconds = 0.0

  private struct Header: Codable {
    var record: JointGroupRecord?
    var tensors: [Entry]
    var seconds: Double

    struct Entry: Codable {
      var name: String
      var shape: [Int]
    }
  }

  init(record: JointGroupRecord?, tensors: [(name: String, tensor: JointFolder.Tensor)], seconds: Double) {
    self.record = record
    self.tensors = tensors
    self.seconds = seconds
  }

  /// A length, a JSON header of that length, then the tensors' bytes.
  func encoded() throws -> [UInt8] {
    let header = Header(
      record: record, tensors: tensors.map { .init(name: $0.name, shape: $0.tensor.shape) }, seconds: seconds)
    return try encode(header, tensors.map(\.tensor.elements))
  }

  /// The result that these bytes were made of.
  init(decoding bytes: [UInt8]) throws {
    var position = 0
    let header = try decode(Header.self, bytes, &position)
    record = header.record
    seconds = header.seconds
    tensors = header.tensors.map { entry in
      let columns = entry.shape.last ?? 1
      let rows = entry.shape.dropLast().reduce(1, *)
      let elements = decodeMatrix(bytes, &position, rows: rows, columns: columns)
      return (entry.name, JointFolder.Tensor(elements, shape: entry.shape))
    }
  }
}

/// Where the subspaces of a group had come, as it goes into the journal after each step.
struct JointGroupState {
  var subspaces: CoupledSubspaces
  var energies: [Double]
  var passCount: Int

  private struct Header: Codable {
    var capturedEnergies: [Double]
    var energies: [Double]
    var passCount: Int
    var leftShape: [Int]
    var rightShape: [Int]
  }

  init(_ subspaces: CoupledSubspaces, _ stack: SliceStack) {
    self.subspaces = subspaces
    energies = stack.energies
    passCount = stack.passCount
  }

  func encoded() throws -> [UInt8] {
    let (left, right) = (subspaces.left, subspaces.right)
    let header = Header(
      capturedEnergies: subspaces.capturedEnergies, energies: energies, passCount: passCount,
      leftShape: [left.rowCount, left.columnCount], rightShape: [right.rowCount, right.columnCount])
    return try encode(header, [left, right])
  }

  init(decoding bytes: [UInt8]) throws {
    var position = 0
    let header = try decode(Header.self, bytes, &position)
    energies = header.energies
    passCount = header.passCount
    let left = decodeMatrix(bytes, &position, rows: header.leftShape[0], columns: header.leftShape[1])
    let right = decodeMatrix(bytes, &position, rows: header.rightShape[0], columns: header.rightShape[1])
    subspaces = CoupledSubspaces(left: left, right: right, capturedEnergies: header.capturedEnergies)
  }
}

private func encode(_ header: some Encodable, _ matrices: [SharedMatrix<Float>]) throws -> [UInt8] {
  let json = try JSONEncoder().encode(header)
  var bytes = UnitNumber.encode(json.count)
  bytes.reserveCapacity(8 + json.count + matrices.reduce(0) { $0 + 4 * $1.matrix.count })
  bytes += json
  for matrix in matrices { bytes += ElementType.f32.encode(matrix.matrix) }
  return bytes
}

private func decode<Header: Decodable>(_ type: Header.Type, _ bytes: [UInt8], _ position: inout Int) throws
  -> Header
{
  let length = UnitNumber.decode(bytes)
  position = UnitNumber.byteCount + length
  return try JSONDecoder().decode(type, from: Data(bytes[UnitNumber.byteCount..<position]))
}

private func decodeMatrix(_ bytes: [UInt8], _ position: inout Int, rows: Int, columns: Int) -> SharedMatrix<
  Float
> {
  let end = position + 4 * rows * columns
  defer { position = end }
  return SharedMatrix(ElementType.f32.decode(Array(bytes[position..<end]), rows: rows, columns: columns))
}
