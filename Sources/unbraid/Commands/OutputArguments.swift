import ArgumentParser

/// The folder that a command makes, as typed.
struct OutputArguments: ParsableArguments {
  @Option(
    name: [.customShort("o"), .customLong("output")],
    help: "The folder to be made; it appears when it is complete.")
  var path: String

  func validate() throws {
    if path.isEmpty { throw ValidationError("-o is empty; give the folder to be made") }
  }
}
