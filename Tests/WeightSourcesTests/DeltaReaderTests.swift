import Checkpoints
import LinearAlgebra
import TestSupport
import Testing
import WeightSources

@Suite struct DeltaReaderTests {
  /// A member's place in a group; reading exchanges nothing.
  private struct Place: ReductionGroup {
    let memberCount: Int
    let memberIndex: Int
    func exchange(_ bytes: [UInt8], with member: Int) -> [UInt8] {
      preconditionFailure("reading exchanges nothing")
    }
  }

  /// Numbers from 1 to 2 in bf16, some megabytes of them without a loop over doubles.
  private static func values(_ shape: [Int], seed: Int) -> FixtureTensor {
    var state = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 | 1)
    let count = shape.reduce(1, *)
    var bytes = [UInt8](repeating: 0, count: 2 * count)
    for index in 0..<count {
      state = state &* 1_664_525 &+ 1_013_904_223
      bytes[2 * index] = 0x80 | UInt8(state >> 25)
      bytes[2 * index + 1] = 0x3F
    }
    return FixtureTensor("weight", .bf16, shape: shape, bytes: bytes)
  }

  @Test(
    "shares of a matrix are its parts, with the energies that its units have for one reader alone",
    arguments: [[1000, 5000], [5000, 1000]])
  func shares(shape: [Int]) throws {
    let folder = try TemporaryFolder()
    try ModelFixture([Self.values(shape, seed: 1)]).write(to: folder.file("base"))
    try ModelFixture([Self.values(shape, seed: 2)]).write(to: folder.file("tuned"))
    let base = try Checkpoint.open(folder.file("base"))
    let tuned = try Checkpoint.open(folder.file("tuned"))
    let old: TensorLocation = try #require(base.tensors["weight"])
    let pair = TensorPair(
      base: old, tuned: try #require(tuned.tensors["weight"]))
    let whole = try DeltaReader().readDelta(pair)
    #expect(whole.unitEnergies.count == 4)
    for memberCount in [2, 4] {
      var energies: [Double] = []
      for memberIndex in 0..<memberCount {
        let share = LongSideShare(
          rows: shape[0], columns: shape[1],
          group: Place(memberCount: memberCount, memberIndex: memberIndex))
        let part = try DeltaReader().readDelta(pair, share: share)
        energies += part.unitEnergies
        let (row, column) = (share.localRowCount - 1, share.localColumnCount - 1)
        let start = share.localRange.lowerBound
        let isWide = share.units.isWide
        #expect(part.matrix[0, 0] == whole.matrix[isWide ? 0 : start, isWide ? start : 0])
        #expect(
          part.matrix[row, column]
            == whole.matrix[isWide ? row : start + row, isWide ? start + column : column])
      }
      #expect(energies == whole.unitEnergies, "\(memberCount) members")
    }
  }
}
