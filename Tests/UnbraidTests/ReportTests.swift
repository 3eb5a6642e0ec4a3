import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// The figures of report.json against their definitions, from the models' and the adapter's own bytes.
  @Suite struct ReportTests {
    @Test(
      "norm, energy, residual and loss are what the files say, for every method and input type",
      arguments: [
        ("gram", ElementType.f32), ("krylov", .f32), ("dense", .f32), ("auto", .f64), ("auto", .f16),
        ("auto", .bf16), ("auto", .f8E4M3), ("auto", .f8E5M2),
      ])
    func definitions(method: String, type: ElementType) throws {
      let pair = ModelPair.small(type)
      let adapter = try Workspace(pair).adapter(
        ["--rank", "5", "--method", method, "--factor-dtype", "f32", "--head", "--embeddings"])
      #expect(adapter.report.modules.count == 6)
      for record in adapter.report.modules {
        try expectTruth(record, pair, adapter)
        #expect(method == "auto" || record.method == method)
      }
    }

    @Test("the written residual includes the rounding of the factors", arguments: ["bf16", "f16"])
    func rounding(type: String) throws {
      let pair = ModelPair.small()
      let adapter = try Workspace(pair).adapter(["--rank", "12", "--factor-dtype", type])
      for record in adapter.report.modules {
        let truth = DeltaTruth(
          base: pair.base[record.module + ".weight"], tuned: pair.tuned[record.module + ".weight"])
        let (a, b) = try #require(adapter.factors(record.module))
        let residual = truth.residualEnergy(a: a, b: b).squareRoot()
        #expect(abs(record.writtenResidual / residual - 1) < 1e-4)
        #expect(record.writtenResidual > record.residual)
      }
    }

    /// Relative 1e-4 of every figure; half of the true loss at least is reported.
    private func expectTruth(
      _ record: AdapterFolder.Report.Module, _ pair: ModelPair, _ adapter: AdapterFolder
    )
      throws
    {
      let name = record.module + ".weight"
      let truth = DeltaTruth(base: pair.base[name], tuned: pair.tuned[name])
      let (a, b) = try #require(adapter.factors(record.module))
      let residual = truth.residualEnergy(a: a, b: b)
      let captured = truth.energy - residual
      let loss = try 1 - captured / truth.optimum(rank: 5)
      #expect(abs(record.norm / truth.energy.squareRoot() - 1) < 1e-6, "\(name)")
      #expect(abs(record.writtenResidual / residual.squareRoot() - 1) < 1e-4, "\(name)")
      #expect(abs(record.residual / residual.squareRoot() - 1) < 1e-4, "\(name)")
      #expect(loss < 1e-3, "\(name)")
      #expect(record.estimatedLoss >= loss / 2, "\(name)")
      #expect(record.isConverged)
      #expect(record.singularValues == record.singularValues.sorted(by: >))
      let sum = record.singularValues.reduce(0) { $0 + $1 * $1 }
      #expect(abs(sum / captured - 1) < 1e-4, "\(name)")
      #expect(record.bytesRead == pair.base[name].bytes.count + pair.tuned[name].bytes.count)
    }

    @Test("gram, krylov and dense agree in the energy that they keep")
    func methods() throws {
      let workspace = try Workspace(.small(layers: 4))
      let adapters = try ["gram", "krylov", "dense"].map { method in
        try workspace.adapter(["--rank", "6", "--method", method], name: method)
      }
      for record in adapters[0].report.modules {
        let kept = adapters.map { 1 - pow($0[record.module].residual / $0[record.module].norm, 2) }
        for other in kept { #expect(abs(other / kept[0] - 1) < 1e-3, "\(record.module)") }
      }
    }

    @Test("changes outside the modules are measured, and the bytes and units add up")
    func leftOut() throws {
      let pair = ModelPair.small()
      let adapter = try Workspace(pair).adapter(["--rank", "4"], ranks: 2)
      #expect(adapter.report.leftOut.count == 6)
      for record in adapter.report.leftOut {
        let (base, tuned) = (pair.base[record.tensor], pair.tuned[record.tensor])
        let truth = DeltaTruth(base: base, tuned: tuned)
        let difference = try #require(record.difference)
        #expect(abs(difference.energy / truth.energy - 1) < 1e-6)
        #expect(abs(difference.baseEnergy / base.values.reduce(0) { $0 + $1 * $1 } - 1) < 1e-6)
        #expect(abs(difference.largest / (truth.values.map(abs).max() ?? 0) - 1) < 1e-6)
      }
      let reasons = Dictionary(uniqueKeysWithValues: adapter.report.leftOut.map { ($0.tensor, $0.reason) })
      #expect(reasons["lm_head.weight"] == "head; --head takes it in")
      #expect(reasons[Name.embedding + ".weight"] == "embedding; --embeddings takes it in")
      #expect(reasons[Name.norm + ".weight"] == "no matrix")
      let byteCount = (pair.base.tensors + pair.tuned.tensors).reduce(0) { $0 + $1.bytes.count }
      #expect(adapter.report.bytesRead == byteCount)
      #expect(adapter.report.ranks.reduce(0) { $0 + $1.unitCount } == 10)
      #expect(adapter.report.version == "0.1.0")
      #expect(adapter.report.blas.hasPrefix("OpenBLAS "))
      #expect(adapter.report.modules.allSatisfy { $0.seconds >= 0 && $0.passes > 0 && $0.mpiRank < 2 })
    }

    @Test("methods over all ranks report what each rank did of the units that all share", arguments: [1, 2])
    func collective(ranks: Int) throws {
      let adapter = try Workspace().adapter(["--rank", "4", "--method", "exact"], ranks: ranks)
      #expect(adapter.report.ranks.reduce(0) { $0 + $1.bytesRead } == adapter.report.bytesRead)
      let first = adapter.report.ranks[0]
      #expect(
        first.unitCount == 4 + adapter.report.leftOut.count && first.sharedCount == (ranks == 1 ? 0 : 4))
      #expect(adapter.report.ranks.dropFirst().allSatisfy { $0.unitCount == 4 && $0.sharedCount == 4 })
      #expect(adapter.report.ranks.allSatisfy { $0.bytesSent == nil })
      let busy = first.readingSeconds + first.computingSeconds
      #expect(first.readingSeconds > 0 && busy + first.waitingSeconds <= adapter.report.seconds)
    }

    @Test("the last line tells modules, seconds, bytes, energy and the worst module")
    func summary() throws {
      let workspace = try Workspace()
      let result = try workspace.extract(["--rank", "4"])
      let line = try #require(result.outputLines.last)
      let pattern =
        #"^.*/out: 4 of 4 modules, \d+\.\d\d s, 0\.00 GB read \(\d+\.\d\d GB/s\), \d+\.\d\d % of the energy kept, "#
        + #"worst model\.\S+ \d+\.\d\d %$"#
      #expect(try line.contains(Regex(pattern)), "\(line)")
      #expect(result.outputLines.count == 1)
      #expect(result.errorOutput.isEmpty)
    }
  }
}
