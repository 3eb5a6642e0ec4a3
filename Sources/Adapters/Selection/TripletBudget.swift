/// A limit for all modules together, spread by one sorted list of their singular values.
///
/// A number of parameters or bytes is spent on the values as edits leave them, since they are what the adapter adds. A
/// share of the energy is the fine-tune's: the list goes by the values as they were decomposed, and so does the sum.
///
/// The list is sorted by energy per parameter, σ²/(m + n): of all choices that cost as much as a front part of it, this is
/// the one with the most energy, and of all that have as much energy the cheapest. Where every triplet costs the same
/// there is nothing else, and the choice is the best for any budget. Where costs differ, a budget may end inside a triplet: the
/// next ones that still fit fill it, and the best choice, a knapsack, has at most the energy of that one triplet more.
public enum TripletBudget: Sendable, Codable, Equatable {
  /// At most so many numbers in all factors.
  case parameters(Int)
  /// At most so many bytes in all factors, as they are stored.
  case bytes(Int)
  /// At least this share of the energy of all modules as they were decomposed, with as few numbers as possible.
  case energy(Double)

  /// A triplet on the list.
  private struct Candidate {
    let module: Int
    let position: Int
    let energy: Double
    let cost: Int

    var density: Double { energy / Double(cost) }
  }

  /// Chooses among the triplets that other rules leave.
  ///
  /// - Parameters:
  ///   - choices: What they leave of each module.
  ///   - spectra: Each module's.
  ///   - bytesPerNumber: The width of the factors' type.
  /// - Returns: What the budget leaves, and the share of the energy where it cannot be reached.
  package func spread(
    _ choices: [TripletChoice], _ spectra: [ModuleSpectrum], bytesPerNumber: Int
  ) -> (choices: [TripletChoice], unreached: Double?) {
    let sorted = choices.enumerated().flatMap { module, choice in
      listed(choice, spectra[module]).enumerated().map { position, value in
        Candidate(
          module: module, position: position, energy: value * value, cost: spectra[module].tripletCost)
      }
    }.sorted { ($1.density, $0.module, $0.position) < ($0.density, $1.module, $1.position) }
    switch self {
    case .parameters(let count): return (chosen(fitting(sorted, count), choices), nil)
    case .bytes(let count): return (chosen(fitting(sorted, count / bytesPerNumber), choices), nil)
    case .energy(let share):
      let total = spectra.reduce(0) { $0 + $1.energy }
      // Sums in another order differ in their last bits.
      let wanted = share * total * (1 - 1e-12)
      let (front, energy) = Self.front(of: sorted, reaching: wanted)
      return (chosen(front, choices), energy < wanted ? energy / total : nil)
    }
  }

  /// The values that the list is sorted by.
  private func listed(_ choice: TripletChoice, _ spectrum: ModuleSpectrum) -> [Double] {
    if case .energy = self { choice.numbers.map { spectrum.values[$0] } } else { choice.values }
  }

  /// Everything from the front of the list that fits.
  private func fitting(_ sorted: [Candidate], _ budget: Int) -> [Candidate] {
    var left = budget
    return sorted.filter { candidate in
      guard candidate.cost <= left else { return false }
      left -= candidate.cost
      return true
    }
  }

  /// The shortest front part of the list with so much energy, less what is not needed for it, and its energy.
  private static func front(of sorted: [Candidate], reaching wanted: Double) -> ([Candidate], energy: Double)
  {
    var energy = 0.0
    var front: [Candidate] = []
    for candidate in sorted where energy < wanted {
      energy += candidate.energy
      front.append(candidate)
    }
    guard energy >= wanted else { return (front, energy) }
    // The last one may have brought more than was missing: others of little energy can go, the dearest first.
    for candidate in front.sorted(by: { ($1.cost, $0.energy) < ($0.cost, $1.energy) })
    where energy - candidate.energy >= wanted {
      energy -= candidate.energy
      front.removeAll { $0.module == candidate.module && $0.position == candidate.position }
    }
    return (front, energy)
  }

  private func chosen(_ candidates: [Candidate], _ choices: [TripletChoice]) -> [TripletChoice] {
    let positions = Dictionary(grouping: candidates, by: \.module).mapValues { Set($0.map(\.position)) }
    return choices.enumerated().map { module, choice in
      var left = TripletChoice()
      for position in choice.numbers.indices where positions[module]?.contains(position) ?? false {
        left.append(choice.numbers[position], choice.values[position])
      }
      return left
    }
  }
}
