import TestSupport

/// A model with layers of three experts each, and a fine-tune of which every matrix changed by one of rank 2.
struct ExpertPair {
  static let count = 3
  static let hidden = 6
  static let inner = 5
  static let block = "model.layers.0.mlp"
  static let gateUp = block + ".experts.gate_up_proj"
  static let down = block + ".experts.down_proj"

  var models: ModelPair

  /// Experts in stacks, each matrix out × in, or in × out if the family has them so.
  static func stacked(modelType: String = "qwen3_5_moe", isTurned: Bool = false, inner: Int = inner)
    -> ExpertPair
  {
    func shape(_ out: Int, _ input: Int) -> [Int] { [count] + (isTurned ? [input, out] : [out, input]) }
    return ExpertPair(
      [
        ("model.layers.0.self_attn.q_proj.weight", [8, hidden]), (block + ".gate.weight", [count, hidden]),
        (gateUp, shape(2 * inner, hidden)), (down, shape(hidden, inner)),
        ("model.layers.1.mlp.experts.gate_up_proj", shape(2 * inner, hidden)),
        ("model.layers.1.mlp.experts.down_proj", shape(hidden, inner)),
      ], modelType: modelType)
  }

  /// Experts that are modules.
  static func modules() -> ExpertPair {
    let experts = (0..<count).flatMap { expert in
      [("gate_proj", [inner, hidden]), ("up_proj", [inner, hidden]), ("down_proj", [hidden, inner])].map {
        ("\(block).experts.\(expert).\($0.0).weight", $0.1)
      }
    }
    return ExpertPair(
      [("model.layers.0.self_attn.q_proj.weight", [8, hidden]), (block + ".gate.weight", [count, hidden])]
        + experts, modelType: "qwen3_moe")
  }

  private init(_ shapes: [(name: String, shape: [Int])], modelType: String) {
    var random = SplitMix64(state: 5)
    let configuration =
      #"{"architectures":["AnyForCausalLM"],"model_type":"\#(modelType)","hidden_size":6,"tie_word_embeddings":false}"#
    let base = shapes.map { name, shape in
      FixtureTensor(name, shape: shape, (0..<shape.reduce(1, *)).map { _ in random.nextUniform() })
    }
    models = ModelPair(
      base: ModelFixture(base, configuration: configuration),
      tuned: ModelFixture(base, configuration: configuration))
    for tensor in base {
      var values = tensor.values
      let (rows, columns) = (tensor.shape[tensor.shape.count - 2], tensor.shape[tensor.shape.count - 1])
      for matrix in 0..<values.count / (rows * columns) {
        for _ in 0..<2 {
          let left = (0..<rows).map { _ in random.nextUniform() }
          let right = (0..<columns).map { _ in random.nextUniform() }
          for index in 0..<rows * columns {
            values[matrix * rows * columns + index] += left[index / columns] * right[index % columns]
          }
        }
      }
      models.tuned[tensor.name] = FixtureTensor(tensor.name, shape: tensor.shape, values)
    }
  }

  /// Takes the change of a tensor back, of one of its matrices or of all.
  mutating func undo(_ name: String, matrix: Int? = nil) {
    let old = models.base[name]
    let size = old.shape.suffix(2).reduce(1, *)
    var values = models.tuned[name].values
    for index in values.indices where matrix.map({ index / size == $0 }) ?? true {
      values[index] = old.values[index]
    }
    models.tuned[name] = FixtureTensor(name, shape: old.shape, values)
  }

  /// How much one matrix of a stack changed.
  func truth(_ name: String, expert: Int) -> DeltaTruth {
    DeltaTruth(
      base: models.base[name].matrix(expert), tuned: models.tuned[name].matrix(expert))
  }
}

extension FixtureTensor {
  /// One of the matrices that a tensor of three dimensions stacks.
  func matrix(_ index: Int) -> FixtureTensor {
    let size = shape[1] * shape[2]
    return FixtureTensor(name, shape: [shape[1], shape[2]], Array(values[index * size..<(index + 1) * size]))
  }

  /// A stack of its first matrix alone.
  var firstMatrix: FixtureTensor {
    FixtureTensor(name, shape: [1, shape[1], shape[2]], matrix(0).values)
  }

  /// Factors of one expert by PEFT's definition: row e·r + k of A, and column k·E + e of B.
  static func expert(_ expert: Int, of count: Int, a: FixtureTensor, b: FixtureTensor) -> (
    a: FixtureTensor, b: FixtureTensor
  ) {
    let (rank, width, height) = (a.shape[0] / count, a.shape[1], b.shape[0])
    let columns = b.values
    return (
      FixtureTensor(
        a.name, shape: [rank, width], Array(a.values[expert * rank * width..<(expert + 1) * rank * width])),
      FixtureTensor(
        b.name, shape: [height, rank],
        (0..<height * rank).map { columns[($0 / rank) * rank * count + ($0 % rank) * count + expert] })
    )
  }
}
