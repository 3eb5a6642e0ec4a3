import ArgumentParser
import DistributedLinearAlgebra
import Foundation
import LinearAlgebra
import MPI

/// `mpirun -n 2 unbraid-bench exact`: the exact SVD of one matrix over the ranks.
struct ExactBenchmark: DistributedBenchmark {
  static let configuration = CommandConfiguration(
    commandName: "exact",
    abstract:
      "Time the exact SVD with all vectors over the ranks, beside ScaLAPACK's psgesvd in the same run.",
    discussion: """
      Prints CSV. The ratios are those of ScaLAPACK's tester, which passes below 20.

      Example:  mpirun -n 2 unbraid-bench exact --order 2048 --against-psgesvd
      """)

  @Option(help: "Rows and columns of a square matrix.") var order = 2048
  @Option(help: "Rows of the matrix, instead of the order.") var rows: Int?
  @Option(help: "Columns of the matrix, instead of the order.") var columns: Int?
  @Option(help: "Spectrum: power-0.3, power-0.5, spikes (48 over a bulk of noise) or noise.") var spectrum:
    Spectrum = .spikes
  @Option(help: "Runs of the exact SVD; the median counts.") var runs = 1
  @Flag(help: "Run ScaLAPACK's psgesvd once on the same matrix.") var againstPsgesvd = false

  func measure(_ world: borrowing Communicator) throws {
    let rowCount = rows ?? order
    let columnCount = columns ?? order
    let isWide = columnCount > rowCount
    let prescribed = try PrescribedMatrix(spectrum, rows: rowCount, columns: columnCount)
    let length = max(rowCount, columnCount)
    let part = length * world.rank / world.size..<length * (world.rank + 1) / world.size
    let slab = copy(isWide ? prescribed.matrix.view.columns(part) : prescribed.matrix.view.rows(part))
    printOnFirst(
      machineLine()
        + "\ncase,rows,columns,ranks,seconds,residual_ratio,left_orthogonality_ratio,"
        + "right_orthogonality_ratio", world)

    var times: [Double] = []
    for _ in 1..<max(1, runs) {
      times.append(try seconds(world) { _ = try DistributedSVD(slab: slab, isWide: isWide, over: world) })
    }
    let start = Date()
    let exact = try DistributedSVD(slab: slab, isWide: isWide, over: world)
    try world.barrier()
    times.append(Date().timeIntervalSince(start))
    let ratios = try SVDRatios(
      slab: slab, isWide: isWide, values: exact.values, longRows: exact.longRows,
      shortRows: exact.shortRows, over: world)
    let median = times.sorted()[times.count / 2]
    printOnFirst(line("exact", rowCount, columnCount, world.size, median, ratios), world)
    guard againstPsgesvd else { return }

    let referenceStart = Date()
    let reference = try ReferenceSVD(of: prescribed.matrix, over: world)
    try world.barrier()
    let referenceSeconds = Date().timeIntervalSince(referenceStart)
    let long = (isWide ? reference.rightRows.view : reference.leftRows.view).columns(part)
    let short = isWide ? reference.leftRows.view : reference.rightRows.view
    let referenceRatios = try SVDRatios(
      slab: slab, isWide: isWide, values: reference.values, longRows: copy(long), shortRows: copy(short),
      over: world)
    printOnFirst(
      line("psgesvd", rowCount, columnCount, world.size, referenceSeconds, referenceRatios)
        + String(format: "\n# psgesvd / exact: %.1f", referenceSeconds / median), world)
  }

  private func seconds(_ world: borrowing Communicator, _ body: () throws -> Void) throws -> Double {
    let start = Date()
    try body()
    try world.barrier()
    return Date().timeIntervalSince(start)
  }

  private func line(
    _ name: String, _ rows: Int, _ columns: Int, _ ranks: Int, _ seconds: Double, _ ratios: SVDRatios
  ) -> String {
    "\(name),\(rows),\(columns),\(ranks),"
      + String(
        format: "%.3f,%.4f,%.4f,%.4f", seconds, ratios.residual, ratios.leftOrthogonality,
        ratios.rightOrthogonality)
  }

  private func printOnFirst(_ text: String, _ world: borrowing Communicator) {
    guard world.rank == 0 else { return }
    print(text)
    fflush(nil)
  }

  private func copy(_ block: MatrixView<Float>) -> Matrix<Float> {
    let result = Matrix<Float>(uninitializedRows: block.rowCount, columns: block.columnCount)
    result.view.copy(from: block)
    return result
  }
}

extension Spectrum: ExpressibleByArgument {}
