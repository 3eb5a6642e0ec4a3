internal import JointDecomposition
internal import LinearAlgebra
internal import WeightSources

/// The differences of a group's modules, outputs × inputs, read from the models' files when they are asked for.
final class ModelSlices: SliceSource {
  let count: Int
  let rows: Int
  let columns: Int
  private let group: LayerGroup
  private let reader = SoleReader()

  init(_ group: LayerGroup) {
    self.group = group
    count = group.sliceCount
    (rows, columns) = (group.shape[0], group.shape[1])
  }

  func load(_ index: Int) throws -> Slice {
    let (tuned, layer) = (index / group.modules.count, index % group.modules.count)
    let pair = group.pairs[tuned][layer]
    let share = LongSideShare(rows: pair.shape[0], columns: pair.shape[1])
    let delta = try reader.deltas.readDelta(pair, share: share)
    let energy = share.sum(ofUnits: delta.unitEnergies)
    let matrix = delta.takeMatrix()
    return Slice(group.isStoredTransposed ? matrix.transposed() : matrix, energy: energy)
  }
}
