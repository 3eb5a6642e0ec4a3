import ArgumentParser
import MPI

/// `unbraid adapter`: an adapter from a decomposition's folder.
struct AdapterCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter",
    abstract: "Write an adapter from a decomposition, with some of its components.",
    discussion: """
      The weights of the models are not read again. 'unbraid components' lists what there is to keep and to drop.

      Example:  unbraid adapter chat-cp -o without-two --drop q_proj:2,v_proj:0-1
      """)

  @Argument(help: "The folder of a decomposition.", completion: .directory)
  var folder: String

  @OptionGroup var jointArguments: JointAdapterArguments

  @OptionGroup var output: OutputArguments

  func run(on world: borrowing Communicator) throws {
    try jointArguments.run(folder, output: output.path, on: world)
  }
}
