/// Draws of a search: a small generator of good numbers, the same on every machine (Steele, Lea and Flood 2014).
struct SeededDraws {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number below a bound of at least 1; the bias of the remainder is nothing beside 2⁶⁴.
  mutating func number(below bound: Int) -> Int { Int(next() % UInt64(bound)) }

  /// The numbers below a bound in a drawn order.
  mutating func order(of count: Int) -> [Int] {
    var order = Array(0..<count)
    for last in stride(from: count - 1, to: 0, by: -1) { order.swapAt(last, number(below: last + 1)) }
    return order
  }
}
