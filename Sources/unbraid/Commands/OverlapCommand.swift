import Adapters
import ArgumentParser
import Checkpoints
import Foundation
import MPI

/// `unbraid overlap`: what two adapters or decompositions have in common.
struct OverlapCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "overlap",
    abstract: "Compare two adapters or decompositions of one base model.",
    discussion: """
      For every module that both change: the principal angles between what they write to and between what they read
      from, how much of the energy of one lies in the subspaces of the other, and what that would be for directions
      drawn at random. For a joint decomposition as A, the same for each of its components.

      A and B are folders of LoRA adapters in PEFT's format, of 'unbraid decompose' or of 'unbraid joint'. Of a decomposition of several
      fine-tuned models, DIR#0 is the first one.

      Example:  unbraid overlap chat-adapter code-adapter --heat-map overlap.svg
      """)

  @Argument(help: "A: the folder of an adapter or of a decomposition.", completion: .directory)
  var first: String

  @Argument(help: "B, likewise.", completion: .directory)
  var second: String

  @Option(
    help: "Write a picture of the energies by layer and module type: an SVG file.", completion: .file())
  var heatMap: String?

  @Option(help: "How many components to list, the strongest first.")
  var components = 20

  @Flag(help: "Print JSON instead of tables: all angles and all directions.")
  var json = false

  func validate() throws {
    if components < 0 { throw ValidationError("--components is \(components); give a number from 0") }
  }

  func run(on world: borrowing Communicator) throws {
    guard world.rank == 0 else { return }
    let progress = ProgressPrinter()
    let report = try OverlapReport(openUpdates(first), openUpdates(second)) { finished, count in
      progress.show(finished, of: count, share: Double(finished) / Double(count), bytesDone: 0)
    }
    progress.finish()
    if let heatMap { try writeDurably(Array(report.heatMap.svg.utf8), to: heatMap) }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    } else {
      print(OverlapTable(report, componentLimit: components).text)
    }
  }
}

extension OverlapReport {
  /// How much of each lies in the other's subspaces on both sides, by layer and module type.
  fileprivate var heatMap: HeatMap {
    func panel(_ title: String, _ value: KeyPath<ModuleOverlap, Double>) -> HeatMap.Panel {
      HeatMap.Panel(
        title: title,
        values: Dictionary(modules.map { ($0.module, $0[keyPath: value]) }, uniquingKeysWith: { $1 }))
    }
    return HeatMap(
      title: "What A (\(fileName(first))) and B (\(fileName(second))) share",
      subtitle: "by layer and module type", legend: "part of the energy of one inside the other's subspaces",
      panels: [
        panel("A in B, outputs and inputs", \.firstInSecond.both),
        panel("B in A, outputs and inputs", \.secondInFirst.both),
      ])
  }
}
