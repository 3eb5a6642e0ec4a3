/// What a consumer calls a weight.
enum ConsumerPlace: Equatable {
  /// A matrix of this name.
  case matrix(String)
  /// One matrix of a stack of this name, one an expert.
  case expert(String, index: Int)
  /// None, and why.
  case none(String)
}

/// One weight of a consumer with the updates that make its factors: a single one, or one an expert.
struct ConsumerWeight: Equatable {
  let name: String
  /// The height of the stack; nil for a matrix.
  let expertCount: Int?
  /// By expert; index 0 for a matrix.
  ///
  /// Experts without one have no update.
  var updates: [Int: WeightUpdate]
  /// One of them: all have the same shape and kind.
  let first: WeightUpdate
}

/// The weights that a consumer gets, in the adapter's order, and those that it cannot have.
struct ConsumerWeights {
  private(set) var weights: [ConsumerWeight] = []
  /// Paths with the reason.
  private(set) var leftOut: [(path: String, reason: String)] = []

  /// Sorts updates under the consumer's names.
  ///
  /// - Parameters:
  ///   - updates: Of all weights.
  ///   - expertCount: Experts of a layer, if the model says so; else as many as there are updates of.
  ///   - place: What the consumer calls the weight of an update.
  init(_ updates: [WeightUpdate], expertCount: Int?, place: (WeightUpdate) -> ConsumerPlace) {
    var indices: [String: Int] = [:]
    let places = updates.map { ($0, place($0)) }
    let largest = places.map { if case .expert(_, let index) = $0.1 { index } else { -1 } }.max() ?? -1
    let stackHeight = max(expertCount ?? 0, largest + 1)
    for (update, place) in places {
      let (name, expert): (String, Int?)
      switch place {
      case .none(let reason):
        leftOut.append((update.path, reason))
        continue
      case .matrix(let matrix): (name, expert) = (matrix, nil)
      case .expert(let stack, let index): (name, expert) = (stack, index)
      }
      if let index = indices[name] {
        weights[index].updates[expert ?? 0] = update
      } else {
        indices[name] = weights.count
        weights.append(
          ConsumerWeight(
            name: name, expertCount: expert.map { _ in stackHeight }, updates: [expert ?? 0: update],
            first: update))
      }
    }
  }
}
