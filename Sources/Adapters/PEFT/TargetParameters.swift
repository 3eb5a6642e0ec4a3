/// What `target_parameters` says: which factors are those of a parameter that is no linear layer's weight.
struct TargetParameters {
  /// The adapter's configuration, for messages.
  let path: String
  /// Ends of the parameters' paths.
  let targets: [String]

  /// The paths of parameters by the paths of the wrappers that hold their factors.
  ///
  /// - Parameter wrappers: The paths of everything that has factors.
  /// - Returns: The parameters of those that are no plain modules.
  /// - Throws: `PEFTAdapterError` if a wrapper is missing or has no parameter.
  func parameters(ofWrappers wrappers: [String]) throws(PEFTAdapterError) -> [String: String] {
    guard !targets.isEmpty else { return [:] }
    var found: [String: String] = [:]
    let owners = Dictionary(grouping: wrappers, by: owner(ofWrapper:))
    for (owner, present) in owners.sorted(by: { $0.key < $1.key }) {
      let nested = try parameters(of: owner)
      guard !nested.isEmpty else { continue }
      let expected = nested.indices.map { owner + String(repeating: nesting, count: $0) }
      if let missing = expected.first(where: { !present.contains($0) }) {
        throw .missingWrapper(path: path, parameters: nested, wrapper: missing)
      }
      if let unknown = present.first(where: { !expected.contains($0) }) {
        throw .noParameter(path: path, wrapper: unknown)
      }
      found.merge(zip(expected, nested)) { first, _ in first }
    }
    return found
  }

  /// The adapted parameters of a module, that of the outermost wrapper first.
  private func parameters(of owner: String) throws(PEFTAdapterError) -> [String] {
    let nested = FusedExpert.nested(
      Set(targets.compactMap { name(ofTarget: $0, in: owner) }.map { "\(owner).\($0)" }))
    if nested.count > 1, let unknown = nested.first(where: { FusedExpert.depth(of: $0) == nil }) {
      throw .unsupported(
        path: path,
        what: "'\(unknown)' is one of several adapted parameters of a module, whose order nobody here knows",
        remedy: "merge the adapter with PEFT's merge_and_unload")
    }
    return nested
  }

  /// The name of a module's parameter, if a target is one of it.
  private func name(ofTarget target: String, in owner: String) -> String? {
    let parts = target.split(separator: ".")
    guard let name = parts.last else { return nil }
    // A name alone would fit any module, and PEFT takes those that have such a parameter: fused experts.
    if parts.count == 1 { return owner.hasSuffix("experts") ? String(name) : nil }
    let whole = "\(owner).\(name)"
    return whole == target || whole.hasSuffix("." + target) ? String(name) : nil
  }
}

private let nesting = ".base_layer"

/// The path of a module that may be wrapped several times.
private func owner(ofWrapper path: String) -> String {
  var owner = path
  while owner.hasSuffix(nesting) { owner.removeLast(nesting.count) }
  return owner
}
