/// A limit for all modules together, spread by one sorted list of their singular values.
///
/// A number of parameters or bytes is spent on the values as edits leave them, since they are what the adapter adds. A
/// share of the energy is the fine-tune's: the list goes by the values as they were decomposed, and so does the sum.
///
/// The list is sorted by energy per parameter, σ²/(m + n): of all choices that cost as much as a front part of it, this is
/// the one with the most energy, and of all that have as much energy the cheapest. Where every triplet costs the same
/// there is nothing else, and the choice is the best for any budget. Where costs differ, a budget may end inside a triplet: the
/// next ones that still fit fill it, and the best choice, a knapsack, has at most the energy of that one triplet more.
///
/// Modules that are stored with one rank, such as the experts of a layer, take their triplets of one number together or not.
public enum TripletBudget: Sendable, Codable, Equatable {
  /// At most so many numbers in all factors.
  case parameters(Int)
  /// At most so many bytes in all factors, as they are stored.
  case bytes(Int)
  /// At least this share of the energy of all modules as they were decomposed, with as few numbers as possible.
  case energy(Double)

  /// On the list: a triplet of one module, or one of each module of a set.
  private struct Candidate {
    let members: [(module: Int, position: Int)]
    let energy: Double
    let cost: Int

    var density: Double { energy / Double(cost) }
    /// Tells it from all others.
    var place: (module: Int, position: Int) { members[0] }
  }

  /// Chooses among the triplets that other rules leave.
  ///
  /// - Parameters:
  ///   - choices: What they leave of each module.
  ///   - spectra: Each module's.
  ///   - bytesPerNumber: The width of the factors' type.
  ///   - byteCount: What is stored of factors of given ranks, if that is more than these.
  /// - Returns: What the budget leaves, and the share of the energy where it cannot be reached.
  package func spread(
    _ choices: [TripletChoice], _ spectra: [ModuleSpectrum], bytesPerNumber: Int,
    byteCount: (([Int]) throws -> Int)? = nil
  ) rethrows -> (choices: [TripletChoice], unreached: Double?) {
    let sorted = rankSets(spectra).flatMap { candidates($0, choices, spectra) }.sorted {
      ($1.density, $0.place.module, $0.place.position) < ($0.density, $1.place.module, $1.place.position)
    }
    switch self {
    case .parameters(let count):
      return (
        try fitting(sorted, count, choices) { try byteCount?($0) ?? 0 <= count * bytesPerNumber }, nil
      )
    case .bytes(let count):
      return (try fitting(sorted, count / bytesPerNumber, choices) { try byteCount?($0) ?? 0 <= count }, nil)
    case .energy(let share):
      let total = spectra.reduce(0) { $0 + $1.energy }
      // Sums in another order differ in their last bits.
      let wanted = share * total * (1 - 1e-12)
      let (front, energy) = Self.front(of: sorted, reaching: wanted)
      return (chosen(front, choices), energy < wanted ? energy / total : nil)
    }
  }

  /// The numbers of the modules that are stored with one rank each, or together.
  private func rankSets(_ spectra: [ModuleSpectrum]) -> [[Int]] {
    let names = spectra.enumerated().map { $1.rankSet ?? "\($0)" }
    return Dictionary(grouping: spectra.indices) { names[$0] }.values.sorted { $0[0] < $1[0] }
  }

  /// The triplets of some modules that are taken together or not.
  private func candidates(
    _ modules: [Int], _ choices: [TripletChoice], _ spectra: [ModuleSpectrum]
  ) -> [Candidate] {
    let values = modules.map { listed(choices[$0], spectra[$0]) }
    let cost = modules.reduce(0) { $0 + spectra[$1].tripletCost }
    return (0..<(values.map(\.count).max() ?? 0)).map { position in
      let members = modules.indices.filter { position < values[$0].count }
      return Candidate(
        members: members.map { (modules[$0], position) },
        energy: members.reduce(0) { $0 + values[$1][position] * values[$1][position] }, cost: cost)
    }
  }

  /// The values that the list is sorted by.
  private func listed(_ choice: TripletChoice, _ spectrum: ModuleSpectrum) -> [Double] {
    if case .energy = self { choice.numbers.map { spectrum.values[$0] } } else { choice.values }
  }

  /// Everything from the front of the list that fits, also with the zeros that are stored beside it.
  private func fitting(
    _ sorted: [Candidate], _ budget: Int, _ choices: [TripletChoice], fits: ([Int]) throws -> Bool
  ) rethrows -> [TripletChoice] {
    func filling(_ budget: Int) -> [TripletChoice] {
      var left = budget
      let front = sorted.filter { candidate in
        guard candidate.cost <= left else { return false }
        left -= candidate.cost
        return true
      }
      return chosen(front, choices)
    }
    var best = filling(budget)
    if try fits(best.map(\.numbers.count)) { return best }
    // Sets that are filled up to the rank of a module outside cost more than their own triplets.
    var (fitting, tooMuch) = (0, budget)
    best = filling(0)
    while tooMuch - fitting > 1 {
      let middle = (fitting + tooMuch) / 2
      let choices = filling(middle)
      if try fits(choices.map(\.numbers.count)) {
        (best, fitting) = (choices, middle)
      } else {
        tooMuch = middle
      }
    }
    return best
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
      front.removeAll { $0.place == candidate.place }
    }
    return (front, energy)
  }

  private func chosen(_ candidates: [Candidate], _ choices: [TripletChoice]) -> [TripletChoice] {
    let positions = Dictionary(grouping: candidates.flatMap(\.members), by: \.module)
      .mapValues { Set($0.map(\.position)) }
    return choices.enumerated().map { module, choice in
      var left = TripletChoice()
      for position in choice.numbers.indices where positions[module]?.contains(position) ?? false {
        left.append(choice.numbers[position], choice.values[position])
      }
      return left
    }
  }
}
