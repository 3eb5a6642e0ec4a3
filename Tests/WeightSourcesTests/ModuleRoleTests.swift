import Testing
import WeightSources

@Suite struct ModuleRoleTests {
  @Test(
    "names and shapes tell the role",
    arguments: [
      ("model.layers.0.self_attn.q_proj.weight", [4, 4], ModuleRole.linear),
      ("model.layers.0.self_attn.q_proj.bias", [4], .bias),
      ("model.layers.0.input_layernorm.weight", [4], .norm),
      ("model.embed_tokens.weight", [9, 4], .embedding),
      ("transformer.wte.weight", [9, 4], .embedding),
      ("embeddings.word_embeddings.weight", [9, 4], .embedding),
      ("lm_head.weight", [9, 4], .head),
      ("output.weight", [9, 4], .head),
      ("encoder.layer.0.output.dense.weight", [9, 4], .linear),
      ("conv.weight", [4, 4, 3, 3], .other),
      ("model.layers.0.mlp.experts.gate_up_proj", [4, 8, 6], .experts),
      ("model.layers.0.block_sparse_moe.input_linear.weight", [4, 8, 6], .experts),
      ("model.layers.0.mlp.experts.scale", [4, 1, 6], .other),
      ("model.layers.0.mixer.conv1d.weight", [4, 8, 6], .other),
      ("embeddings.position_ids", [1, 512], .other),
      ("weight", [2, 2], .other),
    ])
  func role(name: String, shape: [Int], expected: ModuleRole) {
    #expect(ModuleRole(tensor: name, shape: shape) == expected)
  }
}
