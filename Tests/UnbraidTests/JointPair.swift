import TestSupport

/// Pairs of models for joint decompositions.
enum JointPair {
  /// Five layers of three types, of which one layer has another shape; a head outside the layers.
  static func noise(seed: UInt64 = 4) -> ModelPair {
    var base: [FixtureTensor] = []
    var tuned: [FixtureTensor] = []
    var random = SplitMix64(state: 4)
    var change = SplitMix64(state: seed &* 17)
    func add(_ name: String, _ shape: [Int]) {
      let old = (0..<shape.reduce(1, *)).map { _ in random.nextUniform() }
      base.append(FixtureTensor(name, shape: shape, old))
      tuned.append(FixtureTensor(name, shape: shape, old.map { $0 + 0.25 * change.nextUniform() }))
    }
    for layer in 0..<5 {
      // Two digits, so that names sort otherwise than numbers.
      let path = "model.layers.\(layer + 8)"
      add("\(path).self_attn.q_proj.weight", [24, 20])
      add("\(path).mlp.up_proj.weight", [36, layer == 2 ? 18 : 20])
      add("\(path).mlp.down_proj.weight", [20, 36])
    }
    add("lm_head.weight", [30, 20])
    return ModelPair(base: ModelFixture(base), tuned: ModelFixture(tuned))
  }

  /// Layers whose differences are X in one profile over the layers and Y in another, and some noise.
  ///
  /// X and Y are matrices of rank 8; `tuned` has both, `other` X alone.
  struct Planted {
    static let module = "mlp.up_proj"
    static let (rows, columns, layers) = (48, 40, 6)
    static let xProfile = [1, 0.9, 0.7, 0.5, 0.3, 0.2]
    static let yProfile = [0.2, 0.3, 0.4, 0.6, 0.8, 1]

    let pair: ModelPair
    let other: ModelFixture
    let x: [Double]

    init() {
      var random = SplitMix64(state: 12)
      func pattern() -> [Double] {
        let left = (0..<8 * Self.rows).map { _ in random.nextUniform() }
        let right = (0..<8 * Self.columns).map { _ in random.nextUniform() }
        return (0..<Self.rows * Self.columns).map { entry in
          let (row, column) = (entry / Self.columns, entry % Self.columns)
          return (0..<8).reduce(0) { $0 + left[$1 * Self.rows + row] * right[$1 * Self.columns + column] }
        }
      }
      let (x, y) = (pattern(), pattern())
      self.x = x
      func model(_ value: (Int, Int) -> Double) -> ModelFixture {
        ModelFixture(
          (0..<Self.layers).map { layer in
            FixtureTensor(
              "model.layers.\(layer).\(Self.module).weight", shape: [Self.rows, Self.columns],
              (0..<Self.rows * Self.columns).map { value(layer, $0) })
          })
      }
      let base = model { _, _ in 0 }
      func noise() -> Double { 0.05 * random.nextUniform() }
      let both = model { Self.xProfile[$0] * x[$1] + Self.yProfile[$0] * y[$1] + noise() }
      other = model { Self.xProfile[$0] * x[$1] + noise() }
      pair = ModelPair(base: base, tuned: both)
    }
  }

  /// Three layers whose differences have the common singular values 4, 2, 2 and 1 along common directions.
  static func equalValues() -> ModelPair {
    let values: [Double] = [4, 2, 2, 1]
    func model(_ isTuned: Bool) -> ModelFixture {
      ModelFixture(
        (0..<3).map { layer in
          var entries = [Double](repeating: 0, count: 12 * 10)
          if isTuned { for (index, value) in values.enumerated() { entries[index * 10 + index] = value } }
          return FixtureTensor("model.layers.\(layer).mlp.up_proj.weight", shape: [12, 10], entries)
        })
    }
    return ModelPair(base: model(false), tuned: model(true))
  }
}
