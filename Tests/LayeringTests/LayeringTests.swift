import Testing

/// The layers, as in the manifest: what each target may import besides the system's modules.
///
/// The manifest alone does not hold them: a target sees every module that its dependencies see.
@Suite struct LayeringTests {
  /// Project and package modules by target; C targets have no Swift files.
  private static let allowedImports: [String: Set<String>] = [
    "CMPI": [],
    "COpenBLAS": [],
    "CScaLAPACK": [],
    "CXXHash": [],
    "CKernels": [],
    "MPI": ["CMPI"],
    "LinearAlgebra": ["COpenBLAS", "CKernels"],
    "Checkpoints": ["CKernels", "CXXHash"],
    "DistributedLinearAlgebra": ["MPI", "LinearAlgebra", "CScaLAPACK"],
    "TensorDecomposition": ["LinearAlgebra"],
    "WeightSources": ["Checkpoints", "LinearAlgebra", "CKernels"],
    "Adapters": ["Checkpoints", "LinearAlgebra", "WeightSources"],
    "Analysis": ["Checkpoints", "LinearAlgebra"],
    "Initialisations": ["Checkpoints", "LinearAlgebra", "WeightSources"],
    "JointDecomposition": ["MPI", "LinearAlgebra", "DistributedLinearAlgebra", "TensorDecomposition"],
    "Scheduling": [
      "MPI", "LinearAlgebra", "DistributedLinearAlgebra", "JointDecomposition", "Checkpoints",
      "WeightSources", "Adapters", "Analysis", "Initialisations",
    ],
    "Sweeps": [
      "MPI", "LinearAlgebra", "Checkpoints", "WeightSources", "Adapters", "Scheduling", "Yams",
    ],
    "unbraid": [
      "MPI", "LinearAlgebra", "Checkpoints", "WeightSources", "Adapters", "Analysis", "Initialisations",
      "Scheduling", "Sweeps",
      "ArgumentParser",
    ],
    "unbraid-bench": [
      "MPI", "LinearAlgebra", "DistributedLinearAlgebra", "TensorDecomposition", "JointDecomposition",
      "Checkpoints", "WeightSources", "Scheduling", "ArgumentParser",
    ],
  ]

  private static let systemModules: Set = ["Foundation", "Glibc", "Dispatch", "Synchronization"]

  /// Targets that call C or map files; above them, memory is the compiler's business.
  private static let targetsWithPointers: Set = [
    "MPI", "LinearAlgebra", "DistributedLinearAlgebra", "Checkpoints", "WeightSources",
  ]

  private static let longestFile = 400

  @Test("the targets are the ones in the table")
  func targets() throws {
    #expect(try SourceTree.targets() == Self.allowedImports.keys.sorted())
  }

  @Test("every target imports only what its layer allows")
  func imports() throws {
    for file in try SourceTree.files() {
      let allowed = Self.allowedImports[file.target, default: []].union(Self.systemModules)
      for (index, line) in file.lines.enumerated() {
        guard let module = SourceLine.importedModule(line), !allowed.contains(module) else { continue }
        Issue.record("\(file.path):\(index + 1): \(file.target) may not import \(module)")
      }
    }
  }

  @Test("unsafe pointers stay where C is called or files are mapped")
  func unsafePointers() throws {
    for file in try SourceTree.files() where !Self.targetsWithPointers.contains(file.target) {
      for (index, line) in file.lines.enumerated() {
        guard let pointer = SourceLine.unsafePointer(line) else { continue }
        Issue.record("\(file.path):\(index + 1): \(pointer) has no place in \(file.target)")
      }
    }
  }

  @Test("no file is longer than 400 lines")
  func fileLengths() throws {
    for file in try SourceTree.files() where file.lines.count > Self.longestFile {
      Issue.record("\(file.path): \(file.lines.count) lines, limit \(Self.longestFile)")
    }
  }

  @Test(
    "import lines are recognised in all their forms",
    arguments: [
      ("import MPI", "MPI"), ("public import Checkpoints", "Checkpoints"),
      ("@preconcurrency internal import COpenBLAS", "COpenBLAS"),
      ("import struct Foundation.URL", "Foundation"), ("  import Glibc", "Glibc"),
      ("// import MPI", nil), ("important()", nil), ("let x = 1", nil),
    ])
  func importForms(line: String, module: String?) {
    #expect(SourceLine.importedModule(line) == module)
  }

  @Test(
    "unsafe pointers are recognised outside comments",
    arguments: [
      ("let p: UnsafeMutableRawBufferPointer", "UnsafeMutableRawBufferPointer"),
      ("a.withUnsafeBytes { _ in }", "withUnsafeBytes"), ("var h: OpaquePointer?", "OpaquePointer"),
      ("/// not an UnsafePointer", nil), ("nonisolated(unsafe) let x = 1", nil),
    ])
  func pointerForms(line: String, pointer: String?) {
    #expect(SourceLine.unsafePointer(line) == pointer)
  }
}
