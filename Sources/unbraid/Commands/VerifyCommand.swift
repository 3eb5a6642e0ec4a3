import ArgumentParser
import Checkpoints
import Foundation
import MPI
import Scheduling

/// `unbraid verify`: what an adapter as it is stored leaves of a fine-tune.
struct VerifyCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Measure the true error of an adapter against the fine-tune.",
    discussion: """
      Takes the stored, rounded factors off the difference of both models, tensor by tensor: the loss is
      |Δ - scale B A| / |Δ| in the Frobenius norm. Whatever changed and is not covered is listed with its share of the
      energy. Any PEFT LoRA adapter will do. Exits with 1 if a covered tensor loses more than --max-loss.

      Example:  mpirun -n 4 unbraid verify llama-base llama-chat chat-adapter --max-loss 0.3
      """)

  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "The fine-tuned model, likewise.", completion: .directory)
  var tuned: String

  @Argument(help: "The adapter's folder.", completion: .directory)
  var adapter: String

  @Option(parsing: .unconditional, help: "Exit with 1 if a covered tensor's loss is above this, from 0 to 1.")
  var maxLoss: Double?

  @Flag(name: .customLong("mixed-dtypes"), help: "Accept tensors stored in different types on the two sides.")
  var acceptsMixedTypes = false

  @Flag(help: "Print JSON instead of tables.")
  var json = false

  @OptionGroup var resourceArguments: ResourceArguments

  func validate() throws {
    if let maxLoss, !(maxLoss >= 0) {
      throw ValidationError("--max-loss is \(maxLoss); give a number of 0 or more")
    }
  }

  func run(on world: borrowing Communicator) throws {
    let plan = try sharedPlan(on: world)
    let resources = try resourceArguments.resources(on: world)
    let printer = ProgressPrinter()
    let verification = Verification(plan, resources: resources)
    let report = try verification.run(on: world, notify: Messages.printNotice) { finished, count, bytes in
      printer.show(finished, of: count, share: Double(finished) / Double(count), bytesDone: bytes)
    }
    printer.finish()
    guard let report else { return }
    if json {
      FileHandle.standardOutput.write(try report.encoded())
    } else {
      print(VerificationTable(report).text)
    }
    if let maxLoss { try report.check(maxLoss: maxLoss) }
  }

  /// Collective: rank 0 reads headers and plans, the others receive the plan.
  private func sharedPlan(on world: borrowing Communicator) throws -> VerificationPlan {
    guard world.rank == 0 else { return try VerificationPlan(decoding: world.broadcast([], root: 0)) }
    let plan = try VerificationPlan(
      basePath: tidyPath(base), tunedPath: tidyPath(tuned), adapterPath: tidyPath(adapter),
      acceptsMixedTypes: acceptsMixedTypes)
    _ = try world.broadcast(plan.encoded(), root: 0)
    return plan
  }
}

/// A verification as tables for a terminal.
private struct VerificationTable {
  let report: VerificationReport

  init(_ report: VerificationReport) { self.report = report }

  var text: String {
    let parts = [coveredTable, uncoveredTable] + report.notes.map { "note: \($0)" } + [report.summary]
    return parts.compactMap { $0 }.joined(separator: "\n\n")
  }

  private var coveredTable: String {
    let rows = report.covered.map { record in
      [
        record.name, shape(record.shape), record.rank.map { "\($0)" } ?? "", scientific(record.norm),
        scientific(record.residual), String(format: "%.4f", record.loss),
      ]
    }
    return TextTable.text(
      ["module", "shape", "rank", "|Δ|", "|Δ - BA|", "loss"], rows, textColumns: ["module"])
  }

  private var uncoveredTable: String? {
    guard !report.uncovered.isEmpty else { return nil }
    let rows = report.uncovered.map { record in
      [
        record.tensor, shape(record.shape), scientific(record.norm),
        String(format: "%.2f %%", 100 * record.share),
      ]
    }
    return "Changed, but not covered\n"
      + TextTable.text(["tensor", "shape", "|Δ|", "of all energy"], rows, textColumns: ["tensor"])
  }

  private func shape(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: "×") }
  private func scientific(_ value: Double) -> String { String(format: "%.3e", value) }
}
