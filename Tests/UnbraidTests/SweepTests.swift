import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// `unbraid sweep` without evaluations: adapters, rows and tables.
  @Suite struct SweepTests {
    private static let grid =
      SweepWorkspace.head + """
        ranks: [2, 6]
        filters:
          - {name: linear}
          - {name: all, head: true, embeddings: true}
          - {name: mlp, targets: up_proj}
        edits:
          - {name: whole}
          - {name: notop, drop: {"*": 0}}
          - {name: odd, keep: {q_proj: "1", up_proj: "0-1", "*": none}}
        """

    @Test("the largest rank without an edit is byte for byte what extract writes", arguments: [nil, 2])
    func asExtracted(ranks: Int?) throws {
      let workspace = try SweepWorkspace(.small(layers: 4, .bf16), plan: Self.grid)
      try workspace.runWell(ranks: ranks)
      for (filter, options) in [
        ("linear", []), ("all", ["--head", "--embeddings"]), ("mlp", ["--targets", "up_proj"]),
      ] {
        let alone = try workspace.models.adapter(["--rank", "6"] + options, name: "alone-\(filter)")
        let swept = try workspace.adapter("a-r6-\(filter)-whole")
        for file in ["adapter_model.safetensors", "adapter_config.json"] {
          #expect(try alone.bytes(file) == swept.bytes(file), "\(filter): \(file)")
        }
        #expect(alone.report.modules.map(\.writtenResidual) == swept.report.modules.map(\.writtenResidual))
        // With all modules the others were measured too, and the card is the same.
        if filter == "all" { #expect(try alone.bytes("README.md") == swept.bytes("README.md")) }
      }
    }

    @Test(
      "every experiment's factors are columns of the largest ones, and its figures are what its files say")
    func selections() throws {
      let pair = ModelPair.small(layers: 3)
      let workspace = try SweepWorkspace(pair, plan: Self.grid)
      try workspace.runWell()
      let whole = try workspace.adapter("a-r6-all-whole")
      let kept: [String: (String, Int) -> [Int]] = [
        "whole": { _, rank in Array(0..<rank) }, "notop": { _, rank in Array(1..<rank) },
        "odd": { $0.hasSuffix("q_proj") ? [1] : $0.hasSuffix("up_proj") ? [0, 1] : { _ in [] }($1) },
      ]
      for rank in [2, 6] {
        for filter in ["linear", "all", "mlp"] {
          for (edit, kept) in kept {
            let name = "a-r\(rank)-\(filter)-\(edit)"
            try expectSelection(name, try workspace.adapter(name), whole, pair) { kept($0, rank) }
            try expectFigures(try workspace.row(name), try workspace.adapter(name))
          }
        }
      }
    }

    private func expectSelection(
      _ name: String, _ adapter: AdapterFolder, _ whole: AdapterFolder, _ pair: ModelPair,
      kept: (String) -> [Int]
    ) throws {
      for record in adapter.report.modules {
        let numbers = kept(record.module)
        #expect(record.rank == numbers.count, "\(name): \(record.module)")
        let all = try #require(whole.factors(record.module))
        let singularValues = whole[record.module].singularValues
        #expect(record.singularValues == numbers.map { singularValues[$0] })
        let path = record.module + ".weight"
        let truth = DeltaTruth(base: pair.base[path], tuned: pair.tuned[path])
        guard !numbers.isEmpty else {
          #expect(adapter.factors(record.module) == nil)
          #expect(record.writtenResidual == record.norm)
          continue
        }
        let (a, b) = try #require(adapter.factors(record.module))
        let (inputs, outputs, largest) = (a.shape[1], b.shape[0], all.a.shape[0])
        #expect(a.shape[0] == numbers.count && b.shape[1] == numbers.count)
        #expect(
          a.values == numbers.flatMap { all.a.values[$0 * inputs..<($0 + 1) * inputs] }, "\(name)")
        #expect(
          b.values == (0..<outputs).flatMap { row in numbers.map { all.b.values[row * largest + $0] } },
          "\(name)")
        let residual = truth.residualEnergy(a: a, b: b).squareRoot()
        #expect(abs(record.writtenResidual - residual) < 1e-6 * record.norm, "\(name): \(record.module)")
        #expect(abs(record.residual - residual) < 1e-4 * record.norm, "\(name): \(record.module)")
      }
    }

    private func expectFigures(_ row: SweepWorkspace.Row, _ adapter: AdapterFolder) throws {
      let figures = try #require(row.adapter)
      let modules = adapter.report.modules
      let energy = modules.reduce(0) { $0 + $1.norm * $1.norm }
      let left = modules.reduce(0) { $0 + $1.writtenResidual * $1.writtenResidual }
      #expect(row.status == "ok")
      #expect(figures.modules == adapter.adapted.count)
      #expect(figures.parameters == adapter.tensors.values.reduce(0) { $0 + $1.shape.reduce(1, *) })
      #expect(figures.bytes == (try adapter.bytes("adapter_model.safetensors")).count)
      #expect(abs(figures.energyKept - (1 - left / energy)) < 1e-12)
      #expect(adapter.adapted.contains(figures.worstModule))
    }

    @Test("any number of ranks writes the same bytes")
    func sameBytes() throws {
      let workspace = try SweepWorkspace(.small(layers: 5), plan: Self.grid)
      var contents: [[String: Data]] = []
      for ranks in [1, 3] {
        try workspace.runWell(ranks: ranks)
        contents.append(try adapterFiles(workspace))
        try FileManager.default.removeItem(atPath: workspace.outputPath)
      }
      #expect(contents[0].count == 18 * 3)
      #expect(contents[0] == contents[1])
    }

    private func adapterFiles(_ workspace: SweepWorkspace) throws -> [String: Data] {
      let names = (FileManager.default.subpaths(atPath: workspace.outputPath) ?? []).filter {
        ["adapter_model.safetensors", "adapter_config.json", "README.md"].contains(
          ($0 as NSString).lastPathComponent)
      }
      return try Dictionary(
        uniqueKeysWithValues: names.map {
          ($0, try Data(contentsOf: URL(filePath: workspace.outputPath + "/" + $0)))
        })
    }

    @Test("an experiment of which nothing is left is an empty row and no folder")
    func empty() throws {
      let workspace = try SweepWorkspace(
        plan: SweepWorkspace.head + """
          ranks: [3]
          edits:
            - {name: none, drop: {"*": all}}
            - {name: some, drop: {q_proj: all}}
          """)
      try workspace.runWell()
      #expect(try workspace.row("a-r3-none").status == "empty")
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath + "/a-r3-none"))
      #expect(try workspace.adapter("a-r3-some").adapted == [Name.up, Name.up.replacing(".0.", with: ".1.")])
      #expect(try workspace.text("a-r3-some/README.md").contains("edit 'some': drop: {q_proj: \"all\"}"))
      #expect(try workspace.text("results.csv").contains("\r\na-r3-none,a,3,"))
    }

    @Test("--list shows groups and experiments and makes nothing; an index beyond them is a mistake")
    func list() throws {
      let workspace = try SweepWorkspace(
        plan: SweepWorkspace.head + "ranks: [3]\ntolerances: [1e-2, 1e-3]\n")
      let result = try workspace.run(["--list"])
      #expect(result.status == 0)
      #expect(
        result.output == """
          0  a-t0.01
               a-r3-t0.01
          1  a-t0.001
               a-r3-t0.001
          2 experiments in 2 groups: --array=0-1

          """)
      let beyond = try workspace.run(["--index", "2"])
      #expect(beyond.status == 64)
      #expect(
        beyond.sentences == [
          "unbraid: --index is 2, but the plan has groups 0 to 1; 'unbraid sweep --list' shows them"
        ])
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath))
      #expect(try workspace.run(["--help"]).output.contains("mpirun -n 8"))
    }

    @Test("the tasks of an array job fill one folder at the same time, and the tables have all rows")
    func array() throws {
      let tolerances = [0.3, 0.1, 0.03, 0.01]
      let workspace = try SweepWorkspace(
        .small(layers: 6), plan: SweepWorkspace.head + "ranks: [2, 3, 4]\ntolerances: \(tolerances)\n")
      let tasks = try tolerances.indices.map { index in
        try Workspace.start(["sweep", workspace.planPath, "--index", "\(index)"])
      }
      for task in tasks { #expect(task.result(timeoutSeconds: 60).status == 0) }
      let rows = try workspace.rows()
      #expect(
        rows.map(\.name)
          == tolerances.flatMap { t in [2, 3, 4].map { "a-r\($0)-t\(t)" } }.sorted { _, _ in false })
      #expect(rows.allSatisfy { $0.status == "ok" })
    }
  }
}
