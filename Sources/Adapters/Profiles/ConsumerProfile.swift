/// Who is going to load an adapter.
public enum ConsumerProfile: String, Sendable, CaseIterable {
  /// PEFT: every module with its own rank, everything kept.
  case peft
  /// vLLM, and what else reads PEFT's files but one rank and one scale: SGLang, TGI.
  case vllm
  /// llama.cpp: one GGUF file.
  case llamaCpp = "llama.cpp"
  /// mlx-lm: a folder of its own layout.
  case mlx
  /// One folder that all of them load.
  case all

  /// The profiles whose files are made: one, or those that serve everybody.
  var parts: [ConsumerProfile] { self == .all ? [.vllm, .llamaCpp, .mlx] : [self] }

  /// Whether nothing can be written without the base model's configuration.
  public var needsModel: Bool { parts.contains(.llamaCpp) }

  /// Whether PEFT's own files are among those that are written.
  public var hasPEFTFiles: Bool { parts.contains { $0 == .peft || $0 == .vllm } }

  /// The ranks that vLLM can be told to make room for (`--max-lora-rank`).
  static let vllmRanks = [1, 8, 16, 32, 64, 128, 256, 320, 512]
}
