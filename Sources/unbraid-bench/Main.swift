import ArgumentParser

/// Measurements and the inputs for them.
///
/// Goals of speed live here, never in a timed test.
@main
struct UnbraidBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unbraid-bench",
    abstract: "Measures unbraid and makes model pairs to measure with.",
    subcommands: [
      SVDBenchmark.self, KernelBenchmark.self, ReadBenchmark.self, ExtractBenchmark.self, ExactBenchmark.self,
      TensorBenchmark.self, JointBenchmark.self, ScalingTable.self, SweepBenchmark.self,
      AdapterBenchmark.self, MakePair.self,
    ])
}
