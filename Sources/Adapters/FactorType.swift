public import Checkpoints

/// The element type that factors are written in.
public enum FactorType: String, Sendable, Codable, CaseIterable {
  /// Single precision.
  case f32
  /// bfloat16.
  case bf16
  /// IEEE half precision.
  case f16

  /// The name of the type in a safetensors file.
  public var elementType: ElementType {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    }
  }

  /// bf16 where both models are stored in it, single precision otherwise.
  public static func natural(forBase base: ElementType, tuned: ElementType) -> FactorType {
    base == .bf16 && tuned == .bf16 ? .bf16 : .f32
  }
}
