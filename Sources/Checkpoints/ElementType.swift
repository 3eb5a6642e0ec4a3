/// The element types of the safetensors format.
public enum ElementType: String, Sendable, Codable, Hashable, CaseIterable {
  /// A byte that is 0 or 1.
  case bool = "BOOL"
  /// Four-bit floating point, two to a byte.
  case f4 = "F4"
  /// Six-bit floating point with two exponent bits.
  case f6E2M3 = "F6_E2M3"
  /// Six-bit floating point with three exponent bits.
  case f6E3M2 = "F6_E3M2"
  /// Unsigned byte.
  case u8 = "U8"
  /// Signed byte.
  case i8 = "I8"
  /// Eight-bit floating point with five exponent bits.
  case f8E5M2 = "F8_E5M2"
  /// Eight-bit floating point with four exponent bits and no infinity.
  case f8E4M3 = "F8_E4M3"
  /// A power of two, as the scale of a block.
  case f8E8M0 = "F8_E8M0"
  /// The E4M3 variant without negative zero.
  case f8E4M3FNUZ = "F8_E4M3FNUZ"
  /// The E5M2 variant without negative zero.
  case f8E5M2FNUZ = "F8_E5M2FNUZ"
  /// Signed 16 bits.
  case i16 = "I16"
  /// Unsigned 16 bits.
  case u16 = "U16"
  /// IEEE half precision.
  case f16 = "F16"
  /// bfloat16.
  case bf16 = "BF16"
  /// Signed 32 bits.
  case i32 = "I32"
  /// Unsigned 32 bits.
  case u32 = "U32"
  /// Single precision.
  case f32 = "F32"
  /// Two single-precision numbers.
  case c64 = "C64"
  /// Double precision.
  case f64 = "F64"
  /// Signed 64 bits.
  case i64 = "I64"
  /// Unsigned 64 bits.
  case u64 = "U64"

  /// Bits of one element.
  public var bitWidth: Int {
    switch self {
    case .f4: 4
    case .f6E2M3, .f6E3M2: 6
    case .bool, .u8, .i8, .f8E5M2, .f8E4M3, .f8E8M0, .f8E4M3FNUZ, .f8E5M2FNUZ: 8
    case .i16, .u16, .f16, .bf16: 16
    case .i32, .u32, .f32: 32
    case .c64, .f64, .i64, .u64: 64
    }
  }

  /// Whether an element stands for a real number by itself, without a scale stored elsewhere.
  public var isReadableAsFloat: Bool {
    [.f64, .f32, .f16, .bf16, .f8E4M3, .f8E5M2].contains(self)
  }
}
