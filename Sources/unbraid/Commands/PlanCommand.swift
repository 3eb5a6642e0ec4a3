import ArgumentParser
import Foundation
import MPI
import Scheduling

/// `unbraid plan`: what an extraction would do, and what it would leave.
struct PlanCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Show what an extraction would do, leave out and cost.",
    discussion: """
      Compares every name, shape and type of both models and measures how much each tensor changed. Nothing is
      decomposed or written.

      Example:  unbraid plan llama-base llama-chat --rank 64 --head
      """)

  @OptionGroup var arguments: ExtractionArguments
  @OptionGroup var resourceArguments: ResourceArguments

  @Flag(help: "Read headers only: no tensor's change is measured.")
  var headersOnly = false

  @Flag(help: "Print JSON instead of tables.")
  var json = false

  func run(on world: borrowing Communicator) throws {
    let plan = try world.shared { try ExtractionPlan(arguments.request()) }
    let resources = try resourceArguments.resources(on: world)
    let progress = ProgressPrinter()
    let survey = try Survey.make(plan, on: world, resources: resources, headersOnly: headersOnly) {
      finished, count in
      progress.show(finished, of: count, share: Double(finished) / Double(count), bytesDone: 0)
    }
    progress.finish()
    guard let survey else { return }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(survey), as: UTF8.self))
    } else {
      print(SurveyTable(survey).text)
    }
  }
}
