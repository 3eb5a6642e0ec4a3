import ArgumentParser
import Checkpoints
import Foundation
import LinearAlgebra
import WeightSources

/// `unbraid-bench kernels`: the loops that an extraction spends its time in, each beside its floor.
struct KernelBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "Time the loops of an extraction beside the rates of sgemm and of memory in the same run.",
    discussion: """
      Prints CSV. rate is in units of a thousand million a second: operations, or bytes of input; of_floor is the
      rate over that of a square sgemm, or of reading memory.

      Example:  unbraid-bench kernels --rows 14336 --columns 4096 --block 32,64
      """)

  @Option(help: "Rows of the matrix.") var rows = 4096
  @Option(help: "Columns of the matrix.") var columns = 4096
  @Option(help: "Vectors multiplied at once.") var block = "32,64"
  @Option(help: "Runs after a warm-up.") var runs = 5

  func run() throws {
    let blocks = try items(block, "block") { Int($0).flatMap { $0 > 0 ? $0 : nil } }
    BLASLibrary.useThreads(1)
    printLine(machineLine())
    let floors = (sgemm: MachineRates.sgemm(), memory: MachineRates.memoryRead())
    printLine("kernel,rows,columns,block,median_s,least_s,most_s,rate,unit,of_floor")
    printLine(String(format: "sgemm square,3072,3072,3072,,,,%.1f,GFLOP/s,1", floors.sgemm * 1e-9))
    printLine(String(format: "memory read,,,,,,,%.1f,GB/s,1", floors.memory * 1e-9))
    measureDifferences(memory: floors.memory)
    let random = CounterRandom(seed: 0, name: "kernels")
    let matrix = Matrix<Float>(uniform: random, rows: rows, columns: columns)
    for block in blocks {
      let vectors = Matrix<Float>(uniform: random, rows: block, columns: min(rows, columns))
      measureStep(matrix, vectors, sgemm: floors.sgemm)
      measureOrthonormalization(vectors, sgemm: floors.sgemm)
    }
  }

  /// Two stored tensors → their difference in single precision, from memory.
  private func measureDifferences(memory: Double) {
    let random = CounterRandom(seed: 0, name: "stored")
    let values = Matrix<Float>(uniform: random, rows: rows, columns: columns)
    var difference = Matrix<Float>(uninitializedRows: rows, columns: columns)
    for type in [ElementType.bf16, .f16, .f32] {
      let base = type.encode(values)
      let tuned = base
      let time = Measurement(count: runs) { type.subtract(base, from: tuned, into: &difference) }
      let rate = Double(base.count + tuned.count) / time.median
      line("difference of \(type.rawValue)", nil, time, rate, "GB/s", floor: memory)
    }
  }

  private func measureStep(
    _ matrix: borrowing Matrix<Float>, _ vectors: borrowing Matrix<Float>, sgemm: Double
  ) {
    let block = vectors.rowCount
    let operations = 4 * Double(matrix.count) * Double(block)
    let own = Measurement(count: runs) { _ = krylovStep(of: matrix, on: vectors) }
    line("Krylov step", block, own, operations / own.median, "GFLOP/s", floor: sgemm)
    let plain = Measurement(count: runs) { sgemmStep(of: matrix, on: vectors) }
    line("Krylov step by sgemm", block, plain, operations / plain.median, "GFLOP/s", floor: sgemm)
  }

  /// The same step by the BLAS, over panels of the longer side that stay in the cache between two products.
  private func sgemmStep(of matrix: borrowing Matrix<Float>, on vectors: borrowing Matrix<Float>) {
    let isWide = columns > rows
    let length = max(rows, columns)
    let panelLength = 256
    let sum = Matrix<Float>(repeating: 0, rows: vectors.rowCount, columns: vectors.columnCount)
    let images = Matrix<Float>(uninitializedRows: vectors.rowCount, columns: panelLength)
    for start in stride(from: 0, to: length, by: panelLength) {
      let range = start..<min(start + panelLength, length)
      let part = images.view.columns(0..<range.count)
      if isWide {
        let panel = matrix.view.columns(range)
        multiply(vectors.view, panel, into: part)
        multiply(part, panel.transposed, into: sum.view, beta: 1)
      } else {
        let panel = matrix.view.rows(range)
        multiply(vectors.view, panel.transposed, into: part)
        multiply(part, panel, into: sum.view, beta: 1)
      }
    }
  }

  /// Cholesky QR of a block once: the Gram matrix and the triangular solution, b²·s operations each.
  private func measureOrthonormalization(_ vectors: borrowing Matrix<Float>, sgemm: Double) {
    let work = Matrix<Float>(uninitializedRows: vectors.rowCount, columns: vectors.columnCount)
    let time = Measurement(count: runs) {
      work.view.copy(from: vectors.view)
      _ = orthonormalizeRows(work.view)
    }
    let block = Double(vectors.rowCount)
    let operations = 2 * block * block * Double(vectors.columnCount)
    line("orthonormalisation", vectors.rowCount, time, operations / time.median, "GFLOP/s", floor: sgemm)
  }

  private func line(
    _ kernel: String, _ block: Int?, _ time: Measurement, _ rate: Double, _ unit: String, floor: Double
  ) {
    printLine(
      "\(kernel),\(rows),\(columns),\(block.map(String.init) ?? ""),\(time.columns),"
        + String(format: "%.1f,%@,%.2f", rate * 1e-9, unit, rate / floor))
  }
}
