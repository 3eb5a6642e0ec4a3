public import ArgumentParser
import Checkpoints
import Foundation
import LinearAlgebra
import WeightSources

/// `unbraid-bench svd`: one module's decomposition.
struct SVDBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "svd",
    abstract:
      "Time truncated SVDs of matrices of known singular values, beside other programs in the same run.",
    discussion: """
      Prints CSV. captured is the energy of the result over that of the best rank k, which is known from how the
      matrix is built; of_sgemm is the rate of the products over that of a square sgemm in the same run. Lists are
      separated by commas. In a compared command, {matrix} stands for a safetensors file with the one tensor
      matrix, {rank} for the rank; a line 'captured NUMBER' of its output is the energy of its result.

      Example:  unbraid-bench svd --shape 4096x4096,14336x4096 --rank 32,64 --spectrum spikes,noise \
      --compare 'lowrank=python3 deploy/benchmarks/torch_svd.py lowrank {matrix} --rank {rank}'
      """)

  @Option(help: "Rows of the matrix.") var rows = 4096
  @Option(help: "Columns of the matrix.") var columns = 4096
  @Option(help: "Shapes as ROWSxCOLUMNS, instead of rows and columns.") var shape: String?
  @Option(help: "Ranks of the result.") var rank = "32"
  @Option(help: "Spectra: power-0.3, power-0.5, spikes (48 over a bulk of noise), noise.") var spectrum =
    "spikes"
  @Flag(help: "Run the published table: four shapes, four spectra, ranks 32 and 64.") var table = false
  @Option(help: "Method: auto, krylov, gram or dense.") var method: TruncatedSVD.Method = .auto
  @Option(help: "Tolerance of the decomposition.") var tolerance = 1e-3
  @Option(help: "Runs of the truncated SVD after a warm-up.") var runs = 5
  @Option(help: "Threads, of compared commands too.") var threads = 1
  @Option(help: Competitor.help) var compare: [Competitor] = []
  @Option(help: "Run compared commands beside the first of the runs only, so many.") var compareRuns: Int?
  @Flag(help: "Run OpenBLAS's sgesdd once on the same matrix.") var againstSgesdd = false

  func run() throws {
    let cases = try Cases(self)
    BLASLibrary.useThreads(threads)
    printLine(machineLine())
    let rate = MachineRates.sgemm()
    printLine(String(format: "# sgemm %.1f GFLOP/s on %d thread(s)", rate * 1e-9, threads))
    printLine(
      "case,rows,columns,rank,spectrum,median_s,least_s,most_s,passes,captured,estimated_loss,gflops,of_sgemm,"
        + "ratio")
    for shape in cases.shapes {
      for spectrum in cases.spectra {
        var prescribed = try PrescribedMatrix(spectrum, rows: shape.rows, columns: shape.columns)
        let file = compare.isEmpty ? nil : try MatrixFile(prescribed.matrix)
        for rank in cases.ranks {
          let label = "\(shape.rows),\(shape.columns),\(rank),\(spectrum.rawValue)"
          try measure(&prescribed, rank: rank, label: label, file: file, sgemm: rate)
        }
      }
    }
  }

  private func measure(
    _ prescribed: inout PrescribedMatrix, rank: Int, label: String, file: MatrixFile?, sgemm: Double
  ) throws {
    let (rows, columns) = prescribed.matrix.shape
    let share = LongSideShare(rows: rows, columns: columns, threadCount: threads)
    let options = TruncatedSVD.Options(
      rank: rank, tolerance: tolerance, method: method, random: CounterRandom(seed: 0, name: "module"))
    let warm = try TruncatedSVD(of: &prescribed.matrix, share: share, options: options)
    let report = warm.report
    let optimum = prescribed.energy(ofBestRank: rank)
    let captured = capturedEnergy(of: warm, in: prescribed.matrix) / optimum
    var times: [Double] = []
    var outcomes: [[Competitor.Outcome]] = compare.map { _ in [] }
    for run in 0..<max(1, runs) {
      // After another program's turn caches and pages are cold, for which the others have a run of their own too.
      let isPaired = file != nil && run <= compareRuns ?? runs
      if isPaired { _ = try TruncatedSVD(of: &prescribed.matrix, share: share, options: options) }
      times.append(
        try elapsedSeconds {
          _ = try TruncatedSVD(of: &prescribed.matrix, share: share, options: options)
        })
      guard let file, run < compareRuns ?? runs else { continue }
      for (index, other) in compare.enumerated() {
        outcomes[index].append(
          try other.run(["matrix": file.path, "rank": String(rank)], threads: threads))
      }
    }
    let own = Measurement(seconds: times)
    let operations = OperationCount.decomposition(
      rows: rows, columns: columns, rank: rank, method: report.method, passes: report.passes)
    let achieved = operations / own.median
    printLine(
      "\(report.method.rawValue),\(label),\(own.columns),\(report.passes),"
        + String(
          format: "%.6f,%.2e,%.1f,%.2f,", captured, report.estimatedLoss,
          achieved * 1e-9, achieved / sgemm))
    for (other, outcomes) in zip(compare, outcomes) where !outcomes.isEmpty {
      let theirs = Measurement(seconds: outcomes.map(\.seconds))
      let part = outcomes.last?.captured.map { String(format: "%.6f", $0 / optimum) } ?? ""
      printLine(
        "\(other.name),\(label),\(theirs.columns),,\(part),,,,"
          + String(format: "%.2f", theirs.median / own.median))
    }
    guard againstSgesdd else { return }
    var denseEnergy = 0.0
    let dense = try elapsedSeconds {
      let values = try DenseSVD(of: prescribed.matrix).s.prefix(rank)
      denseEnergy = values.reversed().reduce(0) { $0 + Double($1) * Double($1) }
    }
    printLine(
      "sgesdd,\(label),"
        + String(
          format: "%.6f,%.6f,%.6f,,%.6f,0,,,%.1f", dense, dense, dense, denseEnergy / optimum,
          dense / own.median
        ))
  }
}

/// What `svd` runs, from its lists.
private struct Cases {
  let shapes: [(rows: Int, columns: Int)]
  let spectra: [Spectrum]
  let ranks: [Int]

  init(_ options: SVDBenchmark) throws {
    guard !options.table else {
      shapes = [(2048, 2048), (4096, 4096), (14336, 4096), (28672, 8192)]
      spectra = Spectrum.allCases
      ranks = [32, 64]
      return
    }
    ranks = try items(options.rank, "rank") { Int($0).flatMap { $0 > 0 ? $0 : nil } }
    spectra = try items(options.spectrum, "spectrum") { Spectrum(rawValue: $0) }
    shapes = try items(options.shape ?? "\(options.rows)x\(options.columns)", "shape") { text in
      let sides = text.split(separator: "x").compactMap { Int($0) }
      return sides.count == 2 && sides[0] > 0 && sides[1] > 0 ? (sides[0], sides[1]) : nil
    }
  }
}

/// The parts of a list separated by commas.
func items<Item>(_ list: String, _ what: String, _ parse: (String) -> Item?) throws -> [Item] {
  try list.split(separator: ",").map { part in
    guard let item = parse(String(part)) else { throw ValidationError("\(part) is no \(what)") }
    return item
  }
}

/// A matrix in a temporary safetensors file, for programs that are compared.
private final class MatrixFile {
  let path: String

  init(_ matrix: borrowing Matrix<Float>) throws {
    path = FileManager.default.temporaryDirectory.path + "/unbraid-bench-\(UUID()).safetensors"
    let shape = [matrix.rowCount, matrix.columnCount]
    var writer = try SafetensorsWriter(
      path: path, slots: [.init(name: "matrix", elementType: .f32, largestShape: shape)], metadata: [:])
    try writer.write(ElementType.f32.encode(matrix), to: "matrix", shape: shape)
    try writer.finish()
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

extension TruncatedSVD.Method: ExpressibleByArgument {}
