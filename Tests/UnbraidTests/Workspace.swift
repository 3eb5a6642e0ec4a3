import Foundation
import TestSupport
import Testing

/// The parent of suites that start the program for what it writes, one run at a time.
///
/// Beside it runs `TroubleSuite`: a job spends three quarters of its time on starting, ending and waiting, and two
/// cores hold two.
@Suite(.serialized) enum UnbraidSuite {}

/// The parent of suites that start the program for what goes wrong, likewise one run at a time: signals, kills, damage,
/// full disks, wrong command lines.
@Suite(.serialized) enum TroubleSuite {}

/// A temporary folder with a pair of models, and the program to run on them.
struct Workspace {
  let folder: TemporaryFolder
  var basePath: String { folder.file("base") }
  var tunedPath: String { folder.file("tuned") }
  var outputPath: String { folder.file("out") }

  private static let program = MPIProgram(executable: BuiltProduct.path(of: "unbraid"))

  /// Writes both models; shards of both, if more than one.
  init(_ pair: ModelPair = .small(), shardCount: Int = 1) throws {
    folder = try TemporaryFolder()
    try pair.base.write(to: basePath, shardCount: shardCount)
    try pair.tuned.write(to: tunedPath, shardCount: shardCount)
  }

  /// A base model and whatever the test makes of the fine-tuned model's folder.
  init(tunedFile bytes: [UInt8]) throws {
    folder = try TemporaryFolder()
    try ModelPair.small().base.write(to: basePath)
    _ = try folder.makeFolder("tuned")
    try folder.write(bytes, to: "tuned/model.safetensors")
  }

  /// Runs the program with any arguments: alone, or under mpirun if a number of ranks is given.
  static func run(_ arguments: [String], ranks: Int? = nil) throws -> ProcessResult {
    let result =
      try ranks.map { try program.run(ranks: $0, arguments: arguments) }
      ?? program.runAlone(arguments: arguments)
    // What the program says of this machine's BLAS is no concern of a test.
    return result.droppingErrorLines {
      $0.hasPrefix("unbraid: note: ") && $0.contains(": OpenBLAS uses its ")
    }
  }

  /// Starts the program with any arguments, alone or under mpirun.
  static func start(_ arguments: [String], ranks: Int? = nil) throws -> RunningProcess {
    try ranks.map { try program.start(ranks: $0, arguments: arguments) }
      ?? program.startAlone(arguments: arguments)
  }

  /// `unbraid extract base tuned -o out`.
  func extract(_ options: [String] = [], ranks: Int? = nil) throws -> ProcessResult {
    try Self.run(["extract", basePath, tunedPath, "-o", outputPath] + options, ranks: ranks)
  }

  /// `unbraid plan base tuned`.
  func plan(_ options: [String] = [], ranks: Int? = nil) throws -> ProcessResult {
    try Self.run(["plan", basePath, tunedPath] + options, ranks: ranks)
  }

  /// An extraction that must succeed, and what it wrote; `name` is the output's.
  func adapter(_ options: [String] = [], ranks: Int? = nil, name: String = "out") throws -> AdapterFolder {
    let path = folder.file(name)
    let result = try Self.run(["extract", basePath, tunedPath, "-o", path] + options, ranks: ranks)
    try #require(result.status == 0, "\(result.errorOutput)")
    return try AdapterFolder(path)
  }

  /// Expects an extraction to end with one sentence and to leave every file as it was.
  ///
  /// `{base}`, `{tuned}` and `{out}` in the sentence stand for the three paths.
  func expectRefusal(
    _ sentence: String, status: Int32 = 65, _ options: [String] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = folder.contents
    let result = try extract(options)
    #expect(result.status == status, sourceLocation: sourceLocation)
    #expect(result.output.isEmpty, sourceLocation: sourceLocation)
    #expect(result.errorOutput == "unbraid: \(filled(sentence))\n", sourceLocation: sourceLocation)
    #expect(folder.contents == before, "nothing is written", sourceLocation: sourceLocation)
  }

  /// A sentence with the paths of this workspace.
  func filled(_ sentence: String) -> String {
    sentence.replacing("{base}", with: basePath).replacing("{tuned}", with: tunedPath)
      .replacing("{out}", with: outputPath)
  }
}

extension ProcessResult {
  /// The program's own lines on standard error, without mpirun's and without what it says of this machine's BLAS.
  var sentences: [String] {
    errorOutput.split(separator: "\n").map(String.init).filter {
      ($0.hasPrefix("unbraid: ") || $0.hasPrefix("Error: ")) && !$0.contains(": OpenBLAS uses its ")
    }
  }
}

extension ModelFixture {
  /// Replaces one element.
  mutating func set(_ name: String, at index: Int, to value: Double) {
    var values = self[name].values
    values[index] = value
    self[name] = FixtureTensor(name, self[name].elementType, shape: self[name].shape, values)
  }

  /// Leaves a tensor out.
  mutating func remove(_ name: String) { tensors.removeAll { $0.name == name } }
}

/// Names of the fixture that many tests use.
enum Name {
  static let up = "model.layers.0.mlp.up_proj"
  static let query = "model.layers.0.self_attn.q_proj"
  static let norm = "model.layers.0.input_layernorm"
  static let other = "model.layers.1"
  static let embedding = "model.embed_tokens"
}
