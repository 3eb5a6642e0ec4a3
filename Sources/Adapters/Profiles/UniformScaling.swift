internal import LinearAlgebra

/// One rank and one scale for all updates, for consumers that know no others.
struct UniformScaling: Equatable {
  /// The rank that all factors are padded to with zeros.
  let rank: Int
  /// What the consumer multiplies every product by.
  let scale: Double

  /// The largest rank, and the scale of all updates if they have one in common that is not 0, by which llama.cpp means 1;
  /// otherwise 1, and B takes each scale up.
  init(_ updates: [AdapterUpdate], rank: Int) {
    let scales = Set(updates.map(\.scale))
    let common = scales.count == 1 ? scales.first : nil
    self.init(rank: rank, scale: common == 0 ? 1 : common ?? 1)
  }

  /// A rank and a scale of one's own.
  init(rank: Int, scale: Double) {
    self.rank = rank
    self.scale = scale
  }

  /// What an update's B is multiplied by, so that the consumer's scale gives the update's own.
  func multiplier(ofScale own: Double) -> Double { own / scale }

  /// Whether all factors keep every bit of a 16-bit type.
  func isExact(for updates: [AdapterUpdate]) -> Bool {
    updates.allSatisfy { multiplier(ofScale: $0.scale).significand == 1 }
  }

  /// A, rank × inputs, and B, outputs × rank, of one weight.
  func factors(of weight: WeightUpdate, in whole: UpdateFactors) -> UpdateFactors {
    let own = weight.factors(of: whole)
    let a = Matrix<Float>(repeating: 0, rows: rank, columns: weight.inputCount)
    let b = Matrix<Float>(repeating: 0, rows: weight.outputCount, columns: rank)
    a.view.rows(0..<weight.rank).copy(from: own.a.matrix.view)
    b.view.columns(0..<weight.rank).copy(from: own.b.matrix.view)
    let multiplier = multiplier(ofScale: weight.scale)
    if multiplier != 1 { b.view.scale(by: multiplier) }
    return UpdateFactors(a: a, b: b)
  }

  /// The factors of all experts of a parameter, padded and scaled, in PEFT's order.
  ///
  /// - Parameters:
  ///   - parts: One an expert, in order.
  ///   - read: Reads the factors of the update that one is of.
  /// - Returns: Both factors.
  /// - Throws: What reading throws.
  func fusedFactors(
    of parts: [WeightUpdate], read: (WeightUpdate) throws -> UpdateFactors
  ) rethrows -> UpdateFactors {
    let (count, first) = (parts.count, parts[0])
    let a = Matrix<Float>(uninitializedRows: count * rank, columns: first.inputCount)
    let b = Matrix<Float>(uninitializedRows: first.outputCount, columns: rank * count)
    for (expert, part) in parts.enumerated() {
      let own = factors(of: part, in: try read(part))
      a.view.rows(expert * rank..<(expert + 1) * rank).copy(from: own.a.matrix.view)
      for component in 0..<rank {
        let column = component * count + expert
        b.view.columns(column..<column + 1).copy(from: own.b.matrix.view.columns(component..<component + 1))
      }
    }
    return UpdateFactors(a: a, b: b)
  }
}
