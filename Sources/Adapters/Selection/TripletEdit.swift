internal import WeightSources

/// Which singular values of each type of module an adapter keeps.
///
/// A type is the last name of a module's path, such as `q_proj`; `*` stands for every type that is not named
/// itself. A type keeps what `keep` says (all, if that says nothing of it), less what `drop` says.
public struct TripletEdit: Sendable, Codable, Equatable {
  /// What to keep, by type.
  public var keep: [String: TripletNumbers]
  /// What to leave out, by type.
  public var drop: [String: TripletNumbers]

  /// The type that stands for all others.
  public static let anyType = "*"

  /// An edit; without any entries, one that keeps everything.
  ///
  /// - Parameters:
  ///   - keep: What to keep, by type.
  ///   - drop: What to leave out, by type.
  public init(keep: [String: TripletNumbers] = [:], drop: [String: TripletNumbers] = [:]) {
    self.keep = keep
    self.drop = drop
  }

  /// The numbers that a module keeps of its triplets.
  ///
  /// - Parameters:
  ///   - module: Its path.
  ///   - count: How many triplets it has.
  /// - Returns: Ascending.
  public func kept(of module: String, count: Int) -> [Int] {
    let type = moduleType(module)
    let kept = keep[type] ?? keep[Self.anyType] ?? .all
    let dropped = drop[type] ?? drop[Self.anyType] ?? .none
    return (0..<count).filter { kept.contains($0) && !dropped.contains($0) }
  }

  /// Types it names.
  public var namedTypes: Set<String> { Set(keep.keys).union(drop.keys).subtracting([Self.anyType]) }

  /// The edit as it would stand in a plan, without its name.
  public var text: String {
    let parts = [("keep", keep), ("drop", drop)].filter { !$0.1.isEmpty }.map { key, types in
      let members = types.sorted { $0.key < $1.key }.map { "\(quoted($0.key)): \"\($0.value.text)\"" }
      return "\(key): {\(members.joined(separator: ", "))}"
    }
    return parts.isEmpty ? "keep: {\"*\": \"all\"}" : parts.joined(separator: ", ")
  }

  /// The edit as an entry of a plan's `edits:`.
  ///
  /// - Parameter name: The entry's name.
  /// - Returns: YAML that ends with a line's end.
  public func yaml(name: String) -> String {
    var lines = ["- name: \(name)"]
    for (key, types) in [("keep", keep), ("drop", drop)] where !types.isEmpty {
      lines.append("  \(key):")
      lines += types.sorted { $0.key < $1.key }.map { "    \(quoted($0.key)): \"\($0.value.text)\"" }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func quoted(_ type: String) -> String { type == Self.anyType ? "\"*\"" : type }
}

/// The last name of a module's path, of an expert of a stack that of the stack.
///
/// - Parameter module: Such as `model.layers.0.self_attn.q_proj` or `model.layers.0.mlp.experts.gate_up_proj[3]`.
/// - Returns: Such as `q_proj` or `gate_up_proj`.
public func moduleType(_ module: String) -> String {
  var path = isInStack(module) ? String(module.prefix { $0 != "[" }) : module
  // Granite's stacks are weights of modules.
  if isInStack(module), path.hasSuffix(".weight") { path = modulePath(ofTensor: path) }
  return path.lastIndex(of: ".").map { String(path[path.index(after: $0)...]) } ?? path
}
