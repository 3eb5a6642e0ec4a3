import Adapters
import Testing

@Suite struct TripletEditTests {
  @Test("a type keeps what keep says, less what drop says; a named type is not any type")
  func edits() throws {
    let edit = TripletEdit(
      keep: ["q_proj": try #require(TripletNumbers("0-3"))],
      drop: ["q_proj": try #require(TripletNumbers("1")), "*": try #require(TripletNumbers("0,2-"))])
    #expect(edit.kept(of: "model.layers.0.self_attn.q_proj", count: 8) == [0, 2, 3])
    #expect(edit.kept(of: "model.layers.0.self_attn.q_proj", count: 2) == [0])
    #expect(edit.kept(of: "model.layers.0.mlp.up_proj", count: 4) == [1])
    #expect(TripletEdit().kept(of: "lm_head", count: 3) == [0, 1, 2])
    #expect(edit.namedTypes == ["q_proj"])
  }
}
