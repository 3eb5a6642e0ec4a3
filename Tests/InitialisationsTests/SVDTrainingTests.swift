import Initialisations
import Testing

@Suite struct SVDTrainingTests {
  @Test(
    "as many singular values as its author counted for Phi-3-mini",
    arguments: [(0.1, 39_603), (0.2, 79_206), (0.5, 198_144)])
  func phi3Mini(fraction: Double, count: Int) {
    // The model's own names: one matrix for query, key and value, and one for gate and up.
    let layer = [
      "self_attn.qkv_proj": [9216, 3072], "self_attn.o_proj": [3072, 3072],
      "mlp.gate_up_proj": [16_384, 3072],
      "mlp.down_proj": [3072, 8192], "input_layernorm": [3072],
    ]
    let perLayer = layer.filter { SVDTraining.layerModules.contains($0.key) }.values
      .reduce(0) { $0 + SVDTraining.valueCount(ofShape: $1, fraction: fraction) }
    let head = SVDTraining.valueCount(ofShape: [32_064, 3072], fraction: fraction)
    #expect(32 * perLayer + head == count)
  }

  @Test(
    "a fraction is rounded down, also to nothing",
    arguments: [
      ([100, 3072], 0.999, 99), ([3072, 3072], 0.3333, 1023), ([9, 50], 0.1, 0), ([9, 50], 1, 9),
    ])
  func roundsDown(shape: [Int], fraction: Double, count: Int) {
    #expect(SVDTraining.valueCount(ofShape: shape, fraction: fraction) == count)
  }
}
