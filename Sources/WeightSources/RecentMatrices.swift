internal import Checkpoints
internal import LinearAlgebra

/// The matrices that were asked for last: two, and more of them if they are small.
struct RecentMatrices {
  /// The last one asked for comes last.
  private var entries: [(location: TensorLocation, matrix: SharedMatrix<Float>)] = []
  private let roomInBytes: Int

  init(roomInBytes: Int = 256 << 20) { self.roomInBytes = roomInBytes }

  /// How many there are.
  var count: Int { entries.count }

  /// A matrix, read if it is not among them.
  mutating func matrix(
    at location: TensorLocation, read: () throws -> Matrix<Float>
  ) rethrows -> SharedMatrix<Float> {
    if let index = entries.lastIndex(where: { $0.location == location }) {
      let entry = entries.remove(at: index)
      entries.append(entry)
      return entry.matrix
    }
    let matrix = SharedMatrix(try read())
    entries.append((location, matrix))
    while entries.count > 2, byteCount > roomInBytes { entries.removeFirst() }
    return matrix
  }

  private var byteCount: Int { entries.reduce(0) { $0 + 4 * $1.location.elementCount } }
}
