public import WeightSources

/// How the experts and routers of a checkpoint are called and turned in Transformers 5, where they are parameters.
extension PEFTNaming {
  /// The place of a module's factors in an adapter.
  ///
  /// - Parameters:
  ///   - module: One that was selected.
  ///   - rank: The largest rank that it may have.
  /// - Returns: Its place under PEFT's names.
  public func layoutModule(_ module: ModuleSelection.SelectedModule, rank: Int) -> AdapterLayout.Module {
    let expert = module.stack.map { fusedExpert(ofStack: $0) } ?? routerParameter(module.name)
    return AdapterLayout.Module(
      path: expert?.path ?? path(of: module.name, role: module.role), role: module.role,
      layout: layout(of: module.name, role: module.role), rowCount: module.pair.shape[0],
      columnCount: module.pair.shape[1], largestRank: rank, expert: expert)
  }

  /// Which side of a stacked expert's matrix PEFT takes for its input.
  ///
  /// The second dimension of a parameter in memory is its output, unless the class says `is_transposed`, as some families' do;
  /// others are stored the other way round than they are loaded.
  var layoutOfStacks: WeightLayout {
    modelType.map { turnedModelTypes.contains($0) } ?? false ? .inputByOutput : .outputByInput
  }

  private func fusedExpert(ofStack stack: ExpertStackPlace) -> FusedExpert {
    FusedExpert(loadedName(ofStack: stack.tensor), index: stack.index, count: stack.count)
  }

  /// What Transformers 5 calls a tensor of a block with experts; nil if that is its name.
  func loadedName(ofBlockTensor name: String) -> String? {
    if let stack = loadedStack(name) { return stack }
    let router = "block_sparse_moe.router.layer.weight"
    if name.hasSuffix(router) { return name.dropLast("layer.weight".count) + "weight" }
    // Mixtral's.
    return name.contains(".block_sparse_moe.") ? name.replacing(".block_sparse_moe.", with: ".mlp.") : nil
  }

  /// What Transformers calls a stack: as the checkpoint does, but for Granite's.
  func loadedName(ofStack tensor: String) -> String {
    let name = path(of: tensor, role: .experts)
    return loadedStack(name) ?? name
  }

  private func loadedStack(_ name: String) -> String? {
    renamedStacks.first { name.hasSuffix("." + $0.stored) }.map {
      name.dropLast($0.stored.count) + $0.loaded
    }
  }

  /// The parameter that a router is where experts are stacked; nil for what is a module.
  ///
  /// Llama 4's is a linear layer that returns more than a product, which PEFT can only adapt as a parameter.
  private func routerParameter(_ module: String) -> FusedExpert? {
    guard
      let name = ["gate", "router", "router.layer"].first(where: { module.hasSuffix("." + $0) }),
      stackingBlocks.contains(String(module.dropLast(name.count + 1)))
    else { return nil }
    let router = name == "router.layer" ? module.dropLast(".layer".count) : module[...]
    return FusedExpert(path(of: String(router), role: .linear) + ".weight", index: 0, count: 1)
  }
}

/// The paths of blocks of which some expert's matrix is a stack.
func blocksWithStacks(_ tensorNames: [String]) -> Set<String> {
  Set(
    tensorNames.compactMap { name in
      if let experts = name.firstRange(of: ".experts.") {
        return name[experts.upperBound...].first?.isNumber ?? true ? nil : String(name[..<experts.lowerBound])
      }
      return renamedStacks.first { name.hasSuffix("." + $0.stored) }.map { stack in
        name.dropLast(stack.stored.count) + stack.block
      }
    })
}

/// Families of which PEFT takes the inputs of a stored expert's matrix for its rows.
private let turnedModelTypes = transposedClasses.union(["qwen3_vl_moe", "qwen3_vl_moe_text"])

/// Families whose classes say that their stacks are experts × in × out (`is_transposed`).
let transposedClasses: Set = ["gpt_oss", "openai_privacy_filter", "aria", "aria_text"]

/// Stacks that Transformers 5 loads under another name than the checkpoint has: Granite's.
private let renamedStacks = [
  (
    stored: "block_sparse_moe.input_linear.weight", loaded: "block_sparse_moe.experts.gate_up_proj",
    block: "block_sparse_moe"
  ),
  (
    stored: "block_sparse_moe.output_linear.weight", loaded: "block_sparse_moe.experts.down_proj",
    block: "block_sparse_moe"
  ),
]
