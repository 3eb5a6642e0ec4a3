import TestSupport

/// The factors of all experts of a parameter as PEFT stores them: whole numbers, so that sums are exact in every type.
struct FusedFactors {
  /// The path of the parameter.
  let parameter: String
  /// What the names of the factors begin with.
  let wrapper: String
  let count: Int
  let rank: Int
  let inputs: Int
  let outputs: Int
  /// Row e·r + k is component k of expert e.
  let a: [Double]
  /// Column k·E + e is component k of expert e.
  let b: [Double]

  /// Random factors of `inputs` columns of A and `outputs` rows of B.
  init(
    _ parameter: String, wrapper: String, count: Int = 3, rank: Int, inputs: Int, outputs: Int,
    seed: UInt64 = 1
  ) {
    var random = SplitMix64(state: seed)
    func whole(_ count: Int) -> [Double] { (0..<count).map { _ in (random.nextUniform() * 2.49).rounded() } }
    self.init(
      parameter, wrapper: wrapper, count: count, rank: rank, inputs: inputs, outputs: outputs,
      a: whole(count * rank * inputs), b: whole(outputs * rank * count))
  }

  /// Given factors.
  init(
    _ parameter: String, wrapper: String, count: Int, rank: Int, inputs: Int, outputs: Int, a: [Double],
    b: [Double]
  ) {
    self.parameter = parameter
    self.wrapper = wrapper
    self.count = count
    self.rank = rank
    self.inputs = inputs
    self.outputs = outputs
    self.a = a
    self.b = b
  }

  /// B·A of one expert, outputs × inputs, row after row.
  func product(_ expert: Int) -> [Double] {
    (0..<outputs * inputs).map { index in
      (0..<rank).reduce(0) {
        $0 + b[index / inputs * rank * count + $1 * count + expert]
          * a[(expert * rank + $1) * inputs + index % inputs]
      }
    }
  }

  /// (B·A)ᵀ of one expert, inputs × outputs.
  func transposedProduct(_ expert: Int) -> [Double] {
    let product = product(expert)
    return (0..<product.count).map { product[$0 % outputs * inputs + $0 / outputs] }
  }
}

extension LoRAFixture {
  /// Adds the factors of all experts of a parameter.
  mutating func add(_ factors: FusedFactors) {
    let (count, rank) = (factors.count, factors.rank)
    add("\(factors.wrapper).lora_A.weight", [count * rank, factors.inputs], factors.a)
    add("\(factors.wrapper).lora_B.weight", [factors.outputs, rank * count], factors.b)
  }
}
