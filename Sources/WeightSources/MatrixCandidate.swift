package import Checkpoints

/// A matrix of the model, before the filters.
struct MatrixCandidate {
  let name: String
  let role: ModuleRole
  /// Nil if the shapes differ.
  let pair: TensorPair?
  var reshaped: Pairing.Reshaped?
  var stack: ExpertStackPlace?

  /// Whether the matrix is its own, and not another module's that it is tied to.
  var ownsMatrix: Bool { stack != nil || pair.map { modulePath(ofTensor: $0.name) == name } ?? true }

  func selected() throws -> ModuleSelection.SelectedModule {
    if let reshaped {
      throw SourceError.shapesDiffer(
        tensor: reshaped.tuned.name, base: reshaped.base.shape, tuned: reshaped.tuned.shape,
        isVocabulary: [.embedding, .head].contains(role))
    }
    guard let pair, pair.isNumeric else {
      throw SourceError.notNumeric(
        tensor: pair?.name ?? name, elementType: pair.map { $0.tuned.elementType } ?? .u8)
    }
    return .init(name: name, role: role, pair: pair, stack: stack)
  }
}

/// Every matrix of two models: of modules, of experts in stacks, and the head that is tied to the embedding.
func matrixCandidates(_ pairing: Pairing, isHeadTied: Bool) -> [MatrixCandidate] {
  var candidates = pairing.pairs.flatMap(matrices)
  candidates += pairing.reshaped.compactMap { reshaped -> MatrixCandidate? in
    let role = ModuleRole(tensor: reshaped.tuned.name, shape: reshaped.tuned.shape)
    guard role.isMatrix || role == .experts else { return nil }
    let name = role == .experts ? reshaped.tuned.name : modulePath(ofTensor: reshaped.tuned.name)
    return MatrixCandidate(name: name, role: role, pair: nil, reshaped: reshaped)
  }
  // The vocabulary's table has most rows; position and type tables are embeddings too.
  let hasHead = candidates.contains { $0.role == .head }
  let vocabulary = candidates.filter { $0.role == .embedding }
    .max { ($0.pair?.shape[0] ?? 0) < ($1.pair?.shape[0] ?? 0) }
  if isHeadTied, !hasHead, let vocabulary, let pair = vocabulary.pair {
    candidates.append(MatrixCandidate(name: "lm_head", role: .head, pair: pair))
  }
  return candidates
}

/// The matrices of one pair: itself, one an expert, or none.
private func matrices(of pair: TensorPair) -> [MatrixCandidate] {
  let role = ModuleRole(tensor: pair.name, shape: pair.shape)
  if role.isMatrix {
    return [MatrixCandidate(name: modulePath(ofTensor: pair.name), role: role, pair: pair)]
  }
  guard role == .experts, !pair.shape.contains(0) else { return [] }
  return (0..<pair.shape[0]).map { index in
    let slice = pair.slice(index)
    return MatrixCandidate(
      name: slice.name, role: .linear, pair: slice,
      stack: ExpertStackPlace(tensor: pair.name, index: index, count: pair.shape[0]))
  }
}

/// What is left out, with one entry for a stack of which no expert was taken.
func joiningWholeStacks(of pairing: Pairing, _ leftOut: [ModuleSelection.LeftOut]) -> [ModuleSelection
  .LeftOut]
{
  let listed = Dictionary(leftOut.map { ($0.pair.name, $0) }, uniquingKeysWith: { first, _ in first })
  var joined: Set<String> = []
  var whole: [ModuleSelection.LeftOut] = []
  for pair in pairing.pairs where ModuleRole(tensor: pair.name, shape: pair.shape) == .experts {
    let slices = matrices(of: pair).map(\.name)
    guard let first = slices.first.flatMap({ listed[$0] }), slices.allSatisfy({ listed[$0] != nil }) else {
      continue
    }
    joined.formUnion(slices)
    whole.append(.init(pair: pair, role: .experts, reason: first.reason))
  }
  return leftOut.filter { !joined.contains($0.pair.name) } + whole
}

extension Checkpoint {
  /// Every matrix of the model as a module, by name.
  package var matrixModules: [String: ModuleSelection.SelectedModule] {
    let pairs = tensors.values.map(TensorPair.init(weight:)).filter(\.isNumeric)
    return Dictionary(
      pairs.flatMap(matrices).compactMap { candidate in
        candidate.pair.map {
          (
            candidate.name,
            .init(name: candidate.name, role: candidate.role, pair: $0, stack: candidate.stack)
          )
        }
      }, uniquingKeysWith: { first, _ in first })
  }
}
