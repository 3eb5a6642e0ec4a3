// swift-tools-version: 6.2
import PackageDescription

/// The layers, bottom up.
///
/// A target depends only on targets of a lower layer, and only on those named here;
/// `LayeringTests` holds this table against the import lines.
let targets: [Target] = [
  // Layer 0: C.
  .systemLibrary(name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
  .systemLibrary(
    name: "COpenBLAS", pkgConfig: "openblas lapacke",
    providers: [.apt(["libopenblas-dev", "liblapacke-dev"])]),
  // Not by pkg-config: its file requires a BLAS and a LAPACK of its own choice, and needs neither here.
  .systemLibrary(name: "CScaLAPACK", providers: [.apt(["libscalapack-openmpi-dev"])]),
  .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
  // Optimised in every configuration: the test suite runs these loops over real models.
  .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),

  // Layer 1: three worlds that know nothing of each other.
  .target(name: "MPI", dependencies: ["CMPI"]),
  .target(name: "LinearAlgebra", dependencies: ["COpenBLAS", "CKernels"]),
  .target(name: "Checkpoints", dependencies: ["CKernels", "CXXHash"]),

  // One matrix over several ranks: the only place where the worlds of MPI and of matrices meet below a plan.
  .target(name: "DistributedLinearAlgebra", dependencies: ["MPI", "LinearAlgebra", "CScaLAPACK"]),

  // Small dense tensors on one rank: it knows neither MPI nor files.
  .target(name: "TensorDecomposition", dependencies: ["LinearAlgebra"]),
  // Stacks of matrices that are streamed over ranks and never assembled.
  .target(
    name: "JointDecomposition",
    dependencies: ["MPI", "LinearAlgebra", "DistributedLinearAlgebra", "TensorDecomposition"]),

  // Layers 2 and 3: what is decomposed, and what is made of it.
  .target(name: "WeightSources", dependencies: ["Checkpoints", "LinearAlgebra", "CKernels"]),
  .target(name: "Adapters", dependencies: ["Checkpoints", "LinearAlgebra", "WeightSources"]),
  .target(name: "Initialisations", dependencies: ["Checkpoints", "LinearAlgebra", "WeightSources"]),
  // What numbers tell about weights; it reads no weights itself.
  .target(name: "Analysis", dependencies: ["Checkpoints", "LinearAlgebra"]),

  // Layer 4: who does it, when, on which rank.
  .target(
    name: "Scheduling",
    dependencies: [
      "MPI", "LinearAlgebra", "DistributedLinearAlgebra", "JointDecomposition", "Checkpoints",
      "WeightSources", "Adapters", "Analysis", "Initialisations",
    ]),

  // Layer 5: many extractions as one experiment.
  .target(
    name: "Sweeps",
    dependencies: [
      "MPI", "LinearAlgebra", "Checkpoints", "WeightSources", "Adapters", "Scheduling",
      .product(name: "Yams", package: "Yams"),
    ]),

  // Layer 6: the programs.
  .executableTarget(
    name: "unbraid",
    dependencies: [
      "MPI", "LinearAlgebra", "Checkpoints", "WeightSources", "Adapters", "Analysis", "Initialisations",
      "Scheduling", "Sweeps",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ]),
  .executableTarget(
    name: "unbraid-bench",
    dependencies: [
      "WeightSources", "Checkpoints", "LinearAlgebra", "DistributedLinearAlgebra", "TensorDecomposition",
      "JointDecomposition", "MPI", "Scheduling",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ]),

  // Tests: one target a source target, mirrored file for file.
  .target(
    name: "TestSupport", dependencies: ["LinearAlgebra", "Checkpoints"], path: "Tests/TestSupport"),
  .executableTarget(
    name: "mpi-test-program",
    dependencies: [
      "MPI", "LinearAlgebra", "DistributedLinearAlgebra", "TensorDecomposition", "JointDecomposition",
      "Scheduling", "COpenBLAS", "TestSupport",
    ],
    path: "Tests/mpi-test-program"),
  // Preloaded into the program by tests, hence a library of its own.
  .target(name: "CallLog", path: "Tests/CallLog"),
  .testTarget(name: "MPITests", dependencies: ["TestSupport", "mpi-test-program"]),
  .testTarget(name: "LinearAlgebraTests", dependencies: ["LinearAlgebra", "TestSupport"]),
  .testTarget(
    name: "DistributedLinearAlgebraTests",
    dependencies: ["DistributedLinearAlgebra", "CScaLAPACK", "TestSupport", "mpi-test-program"]),
  .testTarget(name: "TensorDecompositionTests", dependencies: ["TensorDecomposition", "LinearAlgebra"]),
  .testTarget(name: "JointDecompositionTests", dependencies: ["TestSupport", "mpi-test-program"]),
  .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "TestSupport"]),
  .testTarget(
    name: "WeightSourcesTests",
    dependencies: ["WeightSources", "Checkpoints", "LinearAlgebra", "TestSupport"]),
  .testTarget(
    name: "AdaptersTests",
    dependencies: ["Adapters", "Checkpoints", "LinearAlgebra", "WeightSources", "TestSupport"]),
  .testTarget(
    name: "AnalysisTests", dependencies: ["Analysis", "Checkpoints", "LinearAlgebra", "TestSupport"]),
  .testTarget(
    name: "InitialisationsTests",
    dependencies: ["Initialisations", "Checkpoints", "LinearAlgebra", "WeightSources", "TestSupport"]),
  .testTarget(
    name: "SchedulingTests",
    dependencies: [
      "Scheduling", "MPI", "LinearAlgebra", "Checkpoints", "WeightSources", "TestSupport",
      "mpi-test-program",
    ]),
  .testTarget(
    name: "SweepsTests",
    dependencies: ["Sweeps", "Scheduling", "Adapters", "WeightSources", "LinearAlgebra", "TestSupport"]),
  // It starts programs and reads what they wrote; optimised, the largest target would take a minute longer to build.
  .testTarget(
    name: "UnbraidTests",
    dependencies: ["unbraid", "Checkpoints", "LinearAlgebra", "WeightSources", "TestSupport"],
    swiftSettings: [.unsafeFlags(["-Onone"])]),
  .testTarget(name: "LayeringTests", dependencies: ["TestSupport"]),
]

let package = Package(
  name: "unbraid",
  products: [.library(name: "CallLog", type: .dynamic, targets: ["CallLog"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: targets,
  swiftLanguageModes: [.v6]
)

/// Warnings are errors under CI only, so that a newer compiler's new warning stops nobody's build.
let underCI = Context.environment["CI"] != nil
for target in package.targets where target.type != .system && !target.name.hasPrefix("C") {
  var settings = target.swiftSettings ?? []
  settings += [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
  ]
  if underCI { settings.append(.treatAllWarnings(as: .error)) }
  target.swiftSettings = settings
}
