public import ArgumentParser
import Foundation
import LinearAlgebra

/// `unbraid-bench svd`: one module's decomposition on one core.
struct SVDBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "svd",
    abstract: "Time truncated SVDs on one core, beside OpenBLAS's full sgesdd in the same run.",
    discussion: """
      Prints CSV. captured is the energy of the rank-k result, over that of the best rank k where sgesdd ran.

      Example:  unbraid-bench svd --rows 4096 --columns 4096 --rank 32 --against-sgesdd
      """)

  @Option(help: "Rows of the matrix.") var rows = 4096
  @Option(help: "Columns of the matrix.") var columns = 4096
  @Option(help: "Rank of the result.") var rank = 32
  @Option(help: "Spectrum: spikes (48 over a bulk of noise) or noise.") var spectrum: Spectrum = .spikes
  @Option(help: "Method: auto, krylov, gram or dense.") var method: TruncatedSVD.Method = .auto
  @Option(help: "Tolerance of the decomposition.") var tolerance = 1e-3
  @Option(help: "Runs of the truncated SVD after a warm-up.") var runs = 5
  @Flag(help: "Run OpenBLAS's sgesdd once on the same matrix.") var againstSgesdd = false

  func run() throws {
    BLASLibrary.useThreads(1)
    print(machineLine())
    print("case,rows,columns,rank,spectrum,median_s,least_s,most_s,passes,captured,estimated_loss")
    let weights = SyntheticWeights(seed: 0, name: "benchmark")
    var matrix = weights.delta(spectrum, rows: rows, columns: columns)
    let options = TruncatedSVD.Options(
      rank: rank, tolerance: tolerance, method: method, random: CounterRandom(seed: 0, name: "module"))
    var report: TruncatedSVD.Report?
    let truncated = try Measurement(count: runs) {
      report = try TruncatedSVD(of: &matrix, options: options).report
    }
    guard let report else { return }
    var optimum = report.energy
    var dense: Double?
    if againstSgesdd {
      let start = Date()
      let svd = try DenseSVD(of: matrix)
      dense = Date().timeIntervalSince(start)
      optimum = svd.s.prefix(rank).reversed().reduce(0) { $0 + Double($1) * Double($1) }
    }
    let shape = "\(rows),\(columns),\(rank),\(spectrum.rawValue)"
    print(
      "\(report.method.rawValue),\(shape),\(truncated.columns),\(report.passes),"
        + String(format: "%.6f,%.2e", report.capturedEnergy / optimum, report.estimatedLoss))
    if let dense {
      print("sgesdd,\(shape)," + String(format: "%.6f,%.6f,%.6f,,1.000000,0", dense, dense, dense))
      print(String(format: "# sgesdd / %@: %.1f", report.method.rawValue, dense / truncated.median))
    }
  }
}

extension Spectrum: ExpressibleByArgument {}
extension TruncatedSVD.Method: ExpressibleByArgument {}
