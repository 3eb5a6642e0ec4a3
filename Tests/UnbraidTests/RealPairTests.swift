import Foundation
import TestSupport
import Testing

/// The trained pair beside the package; absent from a clone of the repository alone.
private let pairs = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/data/pairs").path
private let (basePath, tunedPath) = (pairs + "/tinyllama-base", pairs + "/tinyllama-ft")

extension UnbraidSuite {
  @Suite(
    .enabled(
      if: FileManager.default.fileExists(atPath: tunedPath), "needs ../shared/data/pairs/tinyllama-*"))
  struct RealPairTests {
    private static let ranks = [8, 32]

    @Test("every module of a trained model keeps 0.999 of the best rank k, and the report is true")
    func everyModule() throws {
      let folder = try TemporaryFolder()
      var adapters: [(rank: Int, adapter: AdapterFolder)] = []
      for rank in Self.ranks {
        for method in ["auto", "krylov"] {
          let path = folder.file("\(method)-\(rank)")
          let result = try Workspace.run([
            "extract", basePath, tunedPath, "-o", path, "--head", "--rank", "\(rank)", "--method", method,
            "--factor-dtype", "f32",
          ])
          try #require(result.status == 0, "\(result.errorOutput)")
          adapters.append((rank, try AdapterFolder(path)))
        }
      }
      let (base, tuned) = (try tensors(basePath), try tensors(tunedPath))
      let modules = adapters[0].adapter.report.modules.map(\.module)
      #expect(modules.count == 43)
      for module in modules {
        let old = try #require(base[module + ".weight"])
        let new = try #require(tuned[module + ".weight"])
        let truth = DeltaTruth(base: old, tuned: new)
        let optima = Dictionary(uniqueKeysWithValues: zip(Self.ranks, try truth.optima(ranks: Self.ranks)))
        for (rank, adapter) in adapters {
          try expectTruth(of: adapter[module], adapter, truth, optimum: try #require(optima[rank]))
        }
      }
    }

    private func expectTruth(
      of record: AdapterFolder.Report.Module, _ adapter: AdapterFolder, _ truth: DeltaTruth, optimum: Double
    ) throws {
      let (a, b) = try #require(adapter.factors(record.module))
      let residual = truth.residualEnergy(a: a, b: b)
      let loss = 1 - (truth.energy - residual) / optimum
      let place = "\(record.module), rank \(record.rank), \(record.method)"
      #expect(loss <= 1e-3, "\(place)")
      #expect(record.estimatedLoss >= loss / 2, "\(place)")
      #expect(abs(record.residual / residual.squareRoot() - 1) < 1e-4, "\(record.module)")
      #expect(abs(record.writtenResidual / residual.squareRoot() - 1) < 1e-4, "\(record.module)")
    }

    private func tensors(_ folder: String) throws -> [String: FixtureTensor] {
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      return try names.filter { $0.hasSuffix(".safetensors") }.reduce(into: [:]) { all, name in
        all.merge(try RawSafetensors.read(folder + "/" + name)) { first, _ in first }
      }
    }
  }
}
