internal import CKernels
internal import Checkpoints
public import LinearAlgebra

/// The difference of one pair of matrices, tuned − base, in single precision: all of it or a rank's share.
public struct Delta: ~Copyable, Sendable {
  /// Rows × columns as stored, of this rank's share.
  public var matrix: Matrix<Float>
  /// ‖Δ‖_F² of each unit of the longer side in the share, summed in double precision.
  public let unitEnergies: [Double]
  /// Σ 4^⌊log₂|w|⌋ over the fine-tuned model's values w in each unit; empty unless it was asked for.
  ///
  /// Rounding to a fraction of p bits adds errors of 2^⌊log₂|w|⌋⁻ᵖ/√12 at random: 4⁻ᵖ/12 of this sum to ‖Δ‖_F².
  public let unitBinades: [Double]

  /// The matrix alone.
  public consuming func takeMatrix() -> Matrix<Float> { matrix }
}

/// How much one tensor changed.
public struct DifferenceMeasure: Sendable, Codable, Equatable {
  /// ‖Δ‖_F².
  public var energy: Double
  /// ‖W‖_F² of the base model's tensor.
  public var baseEnergy: Double
  /// Largest |Δ| of an entry.
  public var largest: Double

  /// A measure of given sums.
  public init(energy: Double, baseEnergy: Double, largest: Double) {
    self.energy = energy
    self.baseEnergy = baseEnergy
    self.largest = largest
  }

  /// Whether the tensor did not change at all.
  public var isZero: Bool { energy == 0 && largest == 0 }
  /// ‖Δ‖_F.
  public var norm: Double { energy.squareRoot() }
  /// ‖Δ‖_F / ‖W‖_F; infinite for a base of zeros.
  public var relativeNorm: Double { isZero ? 0 : (energy / baseEnergy).squareRoot() }
}

extension ElementType {
  /// The name of a numeric type in C; callers have checked `isReadableAsFloat`.
  var kernel: ckernels_element {
    switch self {
    case .f64: ckernels_f64
    case .f32: ckernels_f32
    case .f16: ckernels_f16
    case .bf16: ckernels_bf16
    case .f8E4M3: ckernels_f8_e4m3
    case .f8E5M2: ckernels_f8_e5m2
    default: fatalError("\(rawValue) is no floating-point type; the selection refuses it")
    }
  }
}

/// The error for a block whose difference has a NaN or an infinity: which side, which entry.
///
/// A finite difference of two finite values can still overflow a float; then both sides are finite and the
/// difference is named.
func notFinite(
  _ pair: TensorPair, at start: Int, count: Int, base: UnsafeRawPointer, tuned: UnsafeRawPointer
) -> SourceError {
  let values = UnsafeMutablePointer<Float>.allocate(capacity: count)
  defer { values.deallocate() }
  for (location, bytes) in [(pair.tuned, tuned), (pair.base, base)] {
    guard let location else { continue }
    ckernels_widen(bytes, location.elementType.kernel, values, count)
    let index = ckernels_first_nonfinite(values, count)
    if index >= 0 {
      return .notFinite(
        file: location.filePath, tensor: location.name,
        index: multiIndex(start + index, shape: location.shape),
        value: values[index].isNaN ? "nan" : "\(values[index])")
    }
  }
  ckernels_difference(base, pair.baseType.kernel, tuned, pair.tuned.elementType.kernel, values, count)
  let index = max(0, ckernels_first_nonfinite(values, count))
  return .notFinite(
    file: pair.tuned.filePath, tensor: pair.name, index: multiIndex(start + index, shape: pair.shape),
    value: "further from the base model's value than single precision reaches")
}

/// Row-major position of a flat index.
private func multiIndex(_ flat: Int, shape: [Int]) -> [Int] {
  var rest = flat
  var index: [Int] = []
  for length in shape.reversed() {
    index.append(rest % max(1, length))
    rest /= max(1, length)
  }
  return index.reversed()
}
