import Adapters
import Testing

@Suite struct GroupNamesTests {
  @Test("a group is called by the end of its name that no other has")
  func shortNames() {
    let names = GroupNames([
      "self_attn.q_proj", "cross_attn.q_proj", "mlp.up_proj", "up", "k_proj|v_proj", "a.b", "b",
    ])
    #expect(
      names.short == ["self_attn.q_proj", "cross_attn.q_proj", "up_proj", "up", "group4", "a.b", "b"])
    #expect(names.index(of: "up_proj") == 2)
    #expect(names.index(of: "mlp.up_proj") == 2)
    #expect(names.index(of: "k_proj|v_proj") == 4)
    #expect(names.index(of: "q_proj") == nil)
  }
}
