import Analysis
import Checkpoints
import LinearAlgebra
import TestSupport
import Testing

@Suite struct UpdateRankTests {
  /// How the factors of a planted update are distributed.
  enum Kind: CaseIterable {
    case normal, signs
  }

  /// A base in a type, and the same after an update of some rank was added and rounded.
  private struct Merged: ~Copyable {
    let delta: Matrix<Float>
    let tuned: Matrix<Float>
    /// Singular values of the update before it was rounded.
    let planted: [Double]

    /// The update's deviation is `size` steps of the type near 0.02, the base's deviation.
    init(
      _ type: ElementType, _ rows: Int, _ columns: Int, rank: Int, size: Double, _ kind: Kind, seed: UInt64
    )
      throws
    {
      let base = Matrix<Double>(normal: CounterRandom(seed: seed, name: "base"), rows: rows, columns: columns)
      let old = FixtureTensor("base", type, shape: [rows, columns], base.elements.map { 0.02 * $0 }).values
      let step = 0.02 * (type == .bf16 ? 0x1p-8 : type == .f16 ? 0x1p-11 : 0x1p-24)
      func factor(_ name: String, _ rowCount: Int, _ columnCount: Int) -> Matrix<Double> {
        let random = CounterRandom(seed: seed, name: name)
        let normal = Matrix<Double>(normal: random, rows: rowCount, columns: columnCount)
        guard kind == .signs else { return normal }
        return Matrix(normal.elements.map { $0 < 0 ? -1 : 1 }, rows: rowCount, columns: columnCount)
      }
      let update = product(factor("b", rows, rank), factor("a", rank, columns))
      let scale = size * step / Double(rank).squareRoot()
      let changes = update.elements.map { scale * $0 }
      let sums = zip(old, changes).map { $0 + $1 }
      let new = FixtureTensor("tuned", type, shape: [rows, columns], sums).values
      delta = Matrix(zip(new, old).map { Float($0 - $1) }, rows: rows, columns: columns)
      tuned = Matrix(new.map { Float($0) }, rows: rows, columns: columns)
      planted = try singularValues(of: Matrix(changes.map { Float($0) }, rows: rows, columns: columns))
    }
  }

  @Test(
    "merged adapters of any rank, shape and type show their rank where it stands above the rounding",
    arguments: [ElementType.f32, .bf16, .f16])
  func merged(type: ElementType) throws {
    var random = SplitMix64(state: 17)
    func pick(_ range: ClosedRange<Int>) -> Int {
      range.lowerBound + Int((random.nextUniform() + 1) / 2 * Double(range.count))
    }
    var toldCount = 0
    for trial in 0..<24 {
      let (rows, columns) = (pick(24...200), pick(24...200))
      let rank = pick(1...min(12, min(rows, columns) / 2))
      let size = [0.25, 0.7, 3, 40][trial % 4]
      let kind = Kind.allCases[trial / 4 % 2]
      let merged = try Merged(type, rows, columns, rank: rank, size: size, kind, seed: UInt64(trial))
      let found = try UpdateRank(of: merged.delta, tuned: merged.tuned, storedAs: type)
      let text = "\(rows) × \(columns), rank \(rank), size \(size), \(kind): \(found)"
      if found.verdict == .exact { #expect(found.rank == rank, "\(text)") }
      if merged.planted[rank - 1] > 3 * found.floor {
        #expect(found.verdict == .exact, "\(text)")
        toldCount += 1
      }
    }
    #expect(toldCount >= 10, "the trials must say something")
  }

  @Test("the pattern that rounding leaves of a small update is no rank of its own", arguments: Kind.allCases)
  func pattern(kind: Kind) throws {
    let merged = try Merged(.bf16, 300, 280, rank: 1, size: 2, kind, seed: 3)
    let values = try singularValues(of: merged.delta)
    let found = try UpdateRank(of: merged.delta, tuned: merged.tuned, storedAs: .bf16)
    #expect(values[1] > found.floor, "otherwise there is nothing to be seen")
    #expect(found.verdict == .exact && found.rank == 1)
  }

  @Test("what rounding swallows is said to be hidden, and what is not of low rank has no rank")
  func unknown() throws {
    let hidden = try Merged(.bf16, 120, 90, rank: 6, size: 0.15, .normal, seed: 1)
    #expect(try UpdateRank(of: hidden.delta, tuned: hidden.tuned, storedAs: .bf16).verdict == .hidden)
    let full = try Merged(.bf16, 120, 90, rank: 90, size: 20, .normal, seed: 1)
    let found = try UpdateRank(of: full.delta, tuned: full.tuned, storedAs: .bf16)
    #expect(found.verdict == .atLeast && found.rank > 60)
    let zero = Matrix<Float>(repeating: 0, rows: 4, columns: 5)
    #expect(try UpdateRank(of: zero, tuned: zero, storedAs: .f32).verdict == .unchanged)
  }
}
