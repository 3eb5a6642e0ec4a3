import ArgumentParser
import Foundation
import LinearAlgebra
import TensorDecomposition

/// `unbraid-bench tensor`: Tucker and CP of one small dense tensor.
struct TensorBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tensor",
    abstract:
      "Time Tucker and CP of a dense tensor, beside the operations that a sweep of CP cannot do without.",
    discussion: """
      Prints CSV. A sweep takes 4·|X|·R operations; of_dgemm is their rate over that of a square product in the
      same run. With --save the tensor is written as doubles, last index fastest, for other programs.

      Example:  unbraid-bench tensor --shape 128x128x32 --rank 64 --kind planted
      """)

  /// What the tensor is made of.
  enum Kind: String, ExpressibleByArgument, CaseIterable {
    /// Random terms of one weight under noise of half their norm.
    case planted
    /// Entries that fall off as a power of every index, in random bases.
    case decaying
    /// Independent entries.
    case noise
  }

  @Option(help: "Entries of each mode, as in 128x128x32.") var shape = "128x128x32"
  @Option(help: "Components of CP.") var rank = 64
  @Option(help: "planted, decaying or noise.") var kind: Kind = .planted
  @Option(help: "Starts of CP.") var starts = 20
  @Option(help: "The ridge of CP; see CanonicalPolyadic.Options.") var ridge = 0.0
  @Option(help: "Write the tensor to this file.") var save: String?

  func run() throws {
    let lengths = try items(shape.replacing("x", with: ","), "length") {
      Int($0).flatMap { $0 > 0 ? $0 : nil }
    }
    guard lengths.count >= 2, rank > 0 else {
      throw ValidationError("give two modes or more and a rank above 0")
    }
    BLASLibrary.useThreads(1)
    printLine(machineLine())
    let tensor = made(lengths)
    if let save { try write(tensor, to: save) }

    printLine("case,shape,ranks,seconds,relative_error,sweeps_or_steps,is_converged")
    let ranks = lengths.map { max(1, $0 / 2) }
    var tucker: TuckerDecomposition?
    let tuckerTime = try elapsedSeconds { tucker = try TuckerDecomposition(of: tensor, .ranks(ranks)) }
    if let report = tucker?.report {
      printLine(
        "tucker,\(shape),\(ranks.map(String.init).joined(separator: "x"))"
          + String(format: ",%.3f,%.10f,", tuckerTime, report.relativeError)
          + "\(report.capturedEnergies.count - 1),\(report.isConverged)")
    }
    var options = CanonicalPolyadic.Options()
    options.startCount = starts
    options.ridge = ridge
    var found: CanonicalPolyadic?
    let time = try elapsedSeconds { found = try CanonicalPolyadic(of: tensor, rank: rank, options: options) }
    guard let found else { return }
    let report = found.report
    printLine(
      "cp,\(shape),\(found.model.rank)" + String(format: ",%.3f,%.10f,", time, report.relativeError)
        + "\(report.runs.reduce(0) { $0 + $1.steps }),\(report.runs.contains { $0.isConverged })")
    printLine(
      "# match of the best two \(text(report.matchOfBestTwo)), core consistency \(text(report.coreConsistency)), "
        + "Σλ²/‖X‖² \(text(report.weightRatio))" + (report.isDegenerate ? ", degenerate" : ""))
    try measureSweep(tensor, from: found.model)
  }

  /// One sweep of ALS beside the rate of a square product.
  private func measureSweep(_ tensor: DenseTensor, from model: KruskalTensor) throws {
    var squares = AlternatingLeastSquares(DenseSource(tensor), from: model)
    let sweep = try Measurement(count: 20) { _ = try squares.sweep() }
    let order = 1024
    let square = Matrix<Double>(repeating: 1, rows: order, columns: order)
    let target = Matrix<Double>(repeating: 0, rows: order, columns: order)
    let product = Measurement(count: 5) { multiply(square.view, square.view, into: target.view) }
    let rate = 4 * Double(tensor.count) * Double(model.rank) / sweep.least
    let dgemm = 2 * pow(Double(order), 3) / product.least
    printLine(
      String(
        format: "# sweep %.6f s, %.1f GFLOP/s; dgemm %.1f GFLOP/s; of_dgemm %.2f", sweep.least, rate * 1e-9,
        dgemm * 1e-9, rate / dgemm))
  }

  private func made(_ lengths: [Int]) -> DenseTensor {
    let random = CounterRandom(seed: 1, name: "tensor")
    func normals(_ rows: Int, _ columns: Int, _ block: Int) -> Matrix<Double> {
      Matrix(normal: random, rows: rows, columns: columns, block: block)
    }
    let noise = DenseTensor(normals(1, lengths.reduce(1, *), 0), shape: lengths)
    switch kind {
    case .noise: return noise
    case .planted:
      let terms = KruskalTensor(
        weights: Array(repeating: 1, count: rank),
        factors: lengths.enumerated().map { SharedMatrix(normals(rank, $1, $0 + 1)) }
      ).reconstructed()
      let scale = 0.5 * (terms.squaredNorm / noise.squaredNorm).squareRoot()
      return DenseTensor(zip(terms.elements, noise.elements).map { $0 + scale * $1 }, shape: lengths)
    case .decaying:
      let weighted = noise.elements.enumerated().map { offset, entry in
        var (rest, product) = (offset, 1.0)
        for length in lengths.reversed() {
          product *= Double(rest % length + 1)
          rest /= length
        }
        return entry * pow(product, -0.4)
      }
      return lengths.enumerated().reduce(DenseTensor(weighted, shape: lengths)) {
        $0.modeProduct($1.offset, normals($1.element, $1.element, $1.offset + 1))
      }
    }
  }

  private func write(_ tensor: DenseTensor, to path: String) throws {
    var bytes = Data(capacity: 8 * tensor.count)
    for entry in tensor.elements {
      var bits = entry.bitPattern.littleEndian
      for _ in 0..<8 {
        bytes.append(UInt8(truncatingIfNeeded: bits))
        bits >>= 8
      }
    }
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  private func text(_ value: Double?) -> String { value.map { String(format: "%.4g", $0) } ?? "none" }
}
