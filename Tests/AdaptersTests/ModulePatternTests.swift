import Adapters
import Testing

/// Keys and paths with what PEFT 0.21's `get_pattern_key` says to them.
@Suite struct ModulePatternTests {
  private static let path = "model.layers.1.self_attn.q_proj"

  @Test(
    "a key matches a whole path or its end after a dot",
    arguments: [
      ("q_proj", true), ("_proj", false), ("self_attn.q_proj", true), ("attn.q_proj", false),
      ("model.layers.1.self_attn.q_proj", true), ("xmodel.layers.1.self_attn.q_proj", false),
      ("model.layers.11.self_attn.q_proj", false), ("layers.1.self_attn", false),
    ])
  func ends(key: String, isMatch: Bool) throws {
    #expect(try ModulePattern(key).matches(Self.path) == isMatch)
  }

  @Test(
    "keys are regular expressions, also where they look like paths",
    arguments: [
      ("^q_proj", false), ("^model.layers.1.self_attn.q_proj", true),
      (#"^model\.layers\.1\.self_attn\.q_proj$"#, true), (#"^layers\.1\.self_attn\.q_proj$"#, false),
      ("self.attn.q.proj", true), (#"self\.attn\.q_proj"#, false), ("q_proj$", true),
      (#"layers\.\d+\.self_attn\.(q|v)_proj"#, true), (#"layers\.[2-9]\.self_attn\.q_proj"#, false),
      (#"\d\.self_attn\.q_proj"#, true), (".*q_proj", true), (".*self_attn", false), ("q_proj|k_proj", true),
      ("k_proj|q_proj", true), (".*", true), ("", false),
    ])
  func expressions(key: String, isMatch: Bool) throws {
    #expect(try ModulePattern(key).matches(Self.path) == isMatch)
  }

  @Test("what is no regular expression is refused")
  func malformed() { #expect(throws: (any Error).self) { try ModulePattern("q_proj(") } }
}
