/// Experts and routers that are modules in a checkpoint, and that Transformers 5 fuses into parameters when it loads them.
///
/// PEFT then fuses their factors likewise. It must find those of all experts, with the configuration's one rank, and a pattern of
/// ranks does not reach them.
extension AdapterLayout.Module {
  /// What kind of module goes along with others of its kind.
  enum KindOfExpertModule {
    /// `….experts.3.gate_proj`.
    case expert
    /// `….mlp.gate`.
    case router
  }

  /// Whether Transformers 5 loads its matrix as a parameter, or a part of one, of which PEFT initialises no adapter.
  public var isParameter: Bool { expert != nil || kindOfExpertModule == .router }

  /// Nil for a module that PEFT adapts by itself.
  var kindOfExpertModule: KindOfExpertModule? {
    let components = path.split(separator: ".")
    guard expert == nil, components.count > 2 else { return nil }
    let owner = components[components.count - 2]
    if components.last == "gate" { return blocksWithRouters.contains(String(owner)) ? .router : nil }
    return components[components.count - 3] == "experts" && Int(owner) != nil ? .expert : nil
  }
}

extension AdapterLayout.Module {
  /// The path of the layer's experts that it is one of, as a module.
  var expertBlock: String? {
    guard kindOfExpertModule == .expert else { return nil }
    return path.split(separator: ".").dropLast(2).joined(separator: ".")
  }
}

/// What blocks are called of which a gate is the router, and not a gate of something else.
private let blocksWithRouters: Set = ["mlp", "block_sparse_moe", "feed_forward"]
