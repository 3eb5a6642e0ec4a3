internal import Adapters
internal import DistributedLinearAlgebra
internal import Foundation
internal import LinearAlgebra
internal import MPI
internal import WeightSources

/// An extraction by a method that takes all ranks for one module: one module after the other, in the plan's order.
struct CollectiveWork {
  private let plan: ExtractionPlan

  init(_ plan: ExtractionPlan) { self.plan = plan }

  /// Collective: does every unit that is not finished and hands its result to rank 0.
  ///
  /// - Returns: The statistics of every rank, on rank 0 alone.
  /// - Throws: On any rank, its own error or one that all ranks throw.
  func run(
    on world: borrowing Communicator, finished: Set<Int>, canCollect: () -> Bool = { true },
    collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    let begin = secondsNow()
    let reader = DeltaReader()
    var times = PipelineTimes()
    var listener = StopListener()
    for (number, unit) in plan.units.enumerated() where !finished.contains(number) {
      while world.rank == 0 && !canCollect() { PollingPause.sleep(nanoseconds: 1_000_000) }
      try listener.stopAll(on: world)
      switch unit {
      case .measure(let index):
        // One reader is enough: measuring takes no time beside an exact SVD.
        guard world.rank == 0 else { continue }
        let start = secondsNow()
        let measure = try reader.measure(plan.leftOut[index].pair)
        times.reading += secondsNow() - start
        try collect(number, ExtractionResult.measured(measure).encoded())
      case .decompose(let index):
        let result = try decompose(index, reader, &times, world)
        if world.rank == 0 { try collect(number, result.encoded()) }
        times.sharedCount += world.size > 1 ? 1 : 0
      }
      times.unitCount += 1
    }
    // ScaLAPACK and the BLAS beneath it have one thread a rank, whatever the job may take.
    let own = RankStatistics(
      mpiRank: world.rank, times: times,
      load: RankLoad(bytesRead: reader.bytesRead, bytesSent: nil, readsBesideComputing: false),
      threadCount: 1,
      since: begin)
    return try world.allGather(Array(JSONEncoder().encode(own))).map {
      try JSONDecoder().decode(RankStatistics.self, from: Data($0))
    }
  }

  private func decompose(
    _ index: Int, _ reader: DeltaReader, _ times: inout PipelineTimes, _ world: borrowing Communicator
  ) throws -> ExtractionResult {
    let shape = plan.modules[index].pair.shape
    let units = LongSideUnits(rows: shape[0], columns: shape[1])
    // Units are dealt to a power of two of ranks; further ones take part with nothing of the long side.
    var holderCount = 1
    while 2 * holderCount <= min(world.size, units.count) { holderCount *= 2 }
    let readStart = secondsNow()
    let slab: Slab
    if world.rank < holderCount {
      let share = LongSideShare(
        rows: shape[0], columns: shape[1], group: Place(memberCount: holderCount, memberIndex: world.rank))
      let delta = try reader.readDelta(
        plan.modules[index].pair, share: share, measuresBinades: plan.product == .triplets)
      slab = Slab(delta, range: share.localRange)
    } else {
      slab = Slab(emptyFor: units)
    }
    let readSeconds = secondsNow() - readStart
    let start = secondsNow()
    let rank = plan.layout.modules[index].largestRank
    let sums = try world.allReduce([slab.energy, slab.binades], .sum)
    let svd = try svd(of: slab, units, rank: rank, energy: sums[0], index, world)
    let written = try written(of: svd, slab, units, binadeEnergy: sums[1], index, world)
    times.reading += readSeconds
    times.computing += secondsNow() - start
    let record = ModuleRecord(
      module: plan.modules[index], requestedRank: rank, report: svd.report, singularValues: svd.s,
      writtenResidual: (written.residualEnergy ?? sums[0]).squareRoot(), seconds: secondsNow() - start,
      readSeconds: readSeconds, mpiRank: 0, rankCount: world.size, method: plan.costs[index].method)
    return written.result(record)
  }

  /// What is handed over of a decomposition, with its residual summed over all ranks.
  private func written(
    of svd: borrowing TruncatedSVD, _ slab: Slab, _ units: LongSideUnits, binadeEnergy: Double, _ index: Int,
    _ world: borrowing Communicator
  ) throws -> Written {
    let module = plan.layout.modules[index]
    switch plan.product {
    case .factors, .certifiedFactors:
      guard svd.rank > 0 else { return .factors(nil) }
      return .factors(
        try LoRAFactors(
          svd, layout: module.layout, factorType: plan.layout.factorType, module: plan.modules[index].name
        ) { left, right in
          try world.allReduce(
            slab.residual(
              minus: left, times: right, isWide: units.isWide, projects: plan.product == .certifiedFactors),
            .sum)
        })
    case .triplets:
      guard svd.rank > 0 else { return .triplets(nil) }
      return .triplets(
        try ModuleTriplets(svd, layout: module.layout, binadeEnergy: binadeEnergy) { left, right in
          try world.allReduce(
            slab.residual(minus: left, times: right, isWide: units.isWide, projects: false), .sum)[0]
        })
    }
  }

  private func svd(
    of slab: Slab, _ units: LongSideUnits, rank: Int, energy: Double, _ index: Int,
    _ world: borrowing Communicator
  ) throws -> TruncatedSVD {
    let shape = plan.modules[index].pair.shape
    guard energy > 0 else { return TruncatedSVD(zeroOfRows: shape[0], columns: shape[1]) }
    let isWide = units.isWide
    let values: [Double]
    let kept: Int
    let long: Matrix<Float>
    let short: Matrix<Float>
    if plan.costs[index].method == .scalapack {
      let reference = try ReferenceSVD(of: try gathered(slab, units, world), over: world)
      values = reference.values
      kept = min(rank, values.prefix { $0 > DistributedSVD.rankThreshold * values[0] }.count)
      long = isWide ? reference.rightRows.firstRows(kept) : reference.leftRows.firstRows(kept)
      short = isWide ? reference.leftRows.firstRows(kept) : reference.rightRows.firstRows(kept)
    } else {
      let random = CounterRandom(seed: plan.request.seed, name: plan.modules[index].name)
      let exact = try DistributedSVD(
        slab: slab.matrix, isWide: isWide, options: .init(rank: rank, random: random), over: world)
      values = exact.values
      kept = exact.rank
      long = Matrix(repeating: 0, rows: kept, columns: units.longLength)
      long.view.columns(slab.range).copy(from: exact.longRows.view)
      try world.allReduce(inPlace: long.view.elements, .sum)
      short = exact.shortRows.firstRows(kept)
    }
    return TruncatedSVD(
      exactU: isWide ? short.transposed() : long.transposed(), s: Array(values.prefix(kept)),
      vh: isWide ? long : short, energy: energy,
      optimum: values.prefix(rank).reversed().reduce(0) { $0 + $1 * $1 })
  }

  /// The whole matrix on every rank, which the reference alone needs.
  private func gathered(_ slab: Slab, _ units: LongSideUnits, _ world: borrowing Communicator) throws
    -> Matrix<Float>
  {
    let (rows, columns) =
      units.isWide ? (units.shortLength, units.longLength) : (units.longLength, units.shortLength)
    let whole = Matrix<Float>(repeating: 0, rows: rows, columns: columns)
    (units.isWide ? whole.view.columns(slab.range) : whole.view.rows(slab.range)).copy(from: slab.matrix.view)
    try world.allReduce(inPlace: whole.view.elements, .sum)
    return whole
  }
}

/// This rank's part of a difference, along the longer side.
private final class Slab {
  let matrix: Matrix<Float>
  let range: Range<Int>
  let energy: Double
  let binades: Double

  init(_ delta: consuming Delta, range: Range<Int>) {
    energy = delta.unitEnergies.reduce(0, +)
    binades = delta.unitBinades.reduce(0, +)
    matrix = delta.takeMatrix()
    self.range = range
  }

  init(emptyFor units: LongSideUnits) {
    matrix = Matrix(
      uninitializedRows: units.isWide ? units.shortLength : 0, columns: units.isWide ? 0 : units.shortLength)
    range = units.longLength..<units.longLength
    energy = 0
    binades = 0
  }

  /// ‖Δ − L·R‖_F² of this part, for whole factors; with `projects`, also its part of what is left of each triplet.
  func residual(
    minus left: borrowing Matrix<Float>, times right: borrowing Matrix<Float>, isWide: Bool, projects: Bool
  ) -> [Double] {
    guard !range.isEmpty else { return [Double](repeating: 0, count: projects ? 1 + right.rowCount : 1) }
    let part = Matrix<Float>(
      uninitializedRows: isWide ? right.rowCount : range.count,
      columns: isWide ? range.count : left.columnCount)
    part.view.copy(from: isWide ? right.view.columns(range) : left.view.rows(range))
    return isWide
      ? residual(minus: left, times: part, projects: projects)
      : residual(minus: part, times: right, projects: projects)
  }

  private func residual(
    minus left: borrowing Matrix<Float>, times right: borrowing Matrix<Float>, projects: Bool
  ) -> [Double] {
    guard projects else { return [residualSumOfSquares(of: matrix, minus: left, times: right)] }
    let share = LongSideShare(rows: matrix.rowCount, columns: matrix.columnCount)
    return residualProjections(ofPart: matrix.view, minus: left, times: right, share: share)
  }
}

/// A place among the ranks that hold a matrix; sums over them go through collectives instead.
private struct Place: ReductionGroup {
  let memberCount: Int
  let memberIndex: Int

  func exchange(_ bytes: [UInt8], with member: Int) -> [UInt8] {
    preconditionFailure("ranks that work on everything together exchange nothing by pairs")
  }
}
