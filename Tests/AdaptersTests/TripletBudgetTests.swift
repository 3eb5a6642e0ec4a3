import Adapters
import TestSupport
import Testing

/// Budgets over all modules, against every choice there is.
@Suite struct TripletBudgetTests {
  /// Modules with random descending values; of equal cost if one shape is given for all.
  private func modules(_ seed: UInt64, shapes: [[Int]]) -> ([ModuleSpectrum], [TripletChoice]) {
    var random = SplitMix64(state: seed)
    let spectra = shapes.enumerated().map { number, shape in
      let values = (0..<4).map { _ in 0.1 + abs(random.nextUniform()) }.sorted(by: >)
      return ModuleSpectrum(
        module: "\(number)", values: values, shape: shape, energy: 0, isComplete: true, binadeEnergy: 0)
    }
    let choices = spectra.map { spectrum in
      var choice = TripletChoice()
      for (number, value) in spectrum.values.enumerated() { choice.append(number, value) }
      return choice
    }
    return (spectra, choices)
  }

  private func energy(_ choices: [TripletChoice]) -> Double {
    choices.flatMap(\.values).reduce(0) { $0 + $1 * $1 }
  }

  private func cost(_ choices: [TripletChoice], _ spectra: [ModuleSpectrum]) -> Int {
    zip(choices, spectra).reduce(0) { $0 + $1.0.numbers.count * $1.1.tripletCost }
  }

  /// Every choice of leading values: for each module how many.
  private func allChoices(_ spectra: [ModuleSpectrum]) -> [(energy: Double, cost: Int)] {
    spectra.reduce([(0.0, 0)]) { partial, spectrum in
      partial.flatMap { energy, cost in
        (0...spectrum.values.count).map { count in
          (
            energy + spectrum.values.prefix(count).reduce(0) { $0 + $1 * $1 },
            cost + count * spectrum.tripletCost
          )
        }
      }
    }.map { (energy: $0.0, cost: $0.1) }
  }

  @Test("where triplets cost the same, no choice within the budget has more energy", arguments: 1...20)
  func equalCosts(seed: UInt64) {
    let (spectra, choices) = modules(seed, shapes: [[3, 7], [7, 3], [5, 5], [5, 5]])
    for budget in [0, 9, 10, 55, 79, 80, 160, 200] {
      let chosen = TripletBudget.parameters(budget).spread(choices, spectra, bytesPerNumber: 2).choices
      #expect(cost(chosen, spectra) <= budget)
      let best = allChoices(spectra).filter { $0.cost <= budget }.map(\.energy).max() ?? 0
      #expect(energy(chosen) > best - 1e-12)
    }
  }

  @Test(
    "where they do not, it is the best for its own cost and at most one triplet behind", arguments: 1...20)
  func unlikeCosts(seed: UInt64) {
    let (spectra, choices) = modules(seed, shapes: [[3, 7], [30, 3], [5, 50], [100, 1]])
    let all = allChoices(spectra)
    for budget in [5, 10, 60, 99, 150, 300, 500, 1000] {
      let chosen = TripletBudget.parameters(budget).spread(choices, spectra, bytesPerNumber: 2).choices
      #expect(cost(chosen, spectra) <= budget)
      let best = all.filter { $0.cost <= budget }.map(\.energy).max() ?? 0
      // The knapsack's bound: the front of the list and a part of the triplet that did not fit.
      let largest = spectra.flatMap(\.values).reduce(0) { max($0, $1 * $1) }
      #expect(energy(chosen) >= best - largest)
      // What is wasted is less than a triplet that was left out.
      let left = zip(chosen, spectra).filter { $0.0.numbers.count < 4 }.map(\.1.tripletCost).min()
      #expect(budget - cost(chosen, spectra) < left ?? Int.max)
    }
    // Every front part of the list is optimal for what it costs.
    for (energy, cost) in frontParts(spectra) {
      #expect(energy > (all.filter { $0.cost <= cost }.map(\.energy).max() ?? 0) - 1e-12)
    }
  }

  /// What the budget takes when it is just the cost of a front part of the list by energy per parameter.
  private func frontParts(_ spectra: [ModuleSpectrum]) -> [(energy: Double, cost: Int)] {
    let list = spectra.flatMap { spectrum in
      spectrum.values.map { (energy: $0 * $0, cost: spectrum.tripletCost) }
    }.sorted { $0.energy / Double($0.cost) > $1.energy / Double($1.cost) }
    var (_, choices) = (0, spectra.map { _ in TripletChoice() })
    for (module, spectrum) in spectra.enumerated() {
      for (number, value) in spectrum.values.enumerated() { choices[module].append(number, value) }
    }
    return (1...list.count).map { count in
      let budget = list.prefix(count).reduce(0) { $0 + $1.cost }
      let chosen = TripletBudget.parameters(budget).spread(choices, spectra, bytesPerNumber: 4).choices
      return (energy(chosen), budget)
    }
  }

  @Test("bytes are parameters of the factors' type")
  func bytes() {
    let (spectra, choices) = modules(3, shapes: [[3, 7], [30, 3]])
    for budget in [20, 43, 66, 200] {
      let bytes = TripletBudget.bytes(2 * budget + 1).spread(choices, spectra, bytesPerNumber: 2)
      let parameters = TripletBudget.parameters(budget).spread(choices, spectra, bytesPerNumber: 2)
      #expect(bytes.choices == parameters.choices)
    }
  }

  @Test("a share of the energy is the fine-tune's, whatever edits make of the values")
  func sharesOfEdited() throws {
    let spectrum = ModuleSpectrum(
      module: "m", values: [8, 4, 2, 1], shape: [9, 9], energy: 0, isComplete: true, binadeEnergy: 0)
    func numbers(_ factor: String, _ budget: TripletBudget) throws -> [Int] {
      var rules = TripletRules()
      rules.edit.factors = [try .init(.scale, factor)]
      rules.budget = budget
      let chosen = try rules.choices(for: [spectrum], bytesPerNumber: 2)
      #expect(chosen.notes.isEmpty)
      return chosen.choices[0].numbers
    }
    // 64 + 16 of 85 are needed for nine tenths of the energy, and 64 for seven.
    for factor in ["1", "0.1", "100", "3=100", "0=0.01"] {
      #expect(try numbers(factor, .energy(0.9)) == [0, 1], "\(factor)")
      #expect(try numbers(factor, .energy(0.7)) == [0], "\(factor)")
    }
    // Parameters are spent on what the adapter adds.
    #expect(try numbers("3=100", .parameters(18)) == [3])
  }

  @Test("a share of the energy costs as little as any choice, but for one triplet", arguments: 1...20)
  func shares(seed: UInt64) {
    for shapes in [[[3, 7], [7, 3], [5, 5]], [[3, 7], [30, 3], [100, 1]]] {
      let (spectra, choices) = modules(seed, shapes: shapes)
      let total = spectra.reduce(0) { $0 + $1.energy }
      for share in [0.1, 0.5, 0.9, 0.99, 1] {
        let (chosen, unreached) = TripletBudget.energy(share).spread(choices, spectra, bytesPerNumber: 2)
        #expect(unreached == nil && energy(chosen) >= share * total * (1 - 1e-12))
        let least = allChoices(spectra).filter { $0.energy >= share * total * (1 - 1e-12) }.map(\.cost).min()
        let dearest = spectra.map(\.tripletCost).max() ?? 0
        let isEqual = Set(spectra.map(\.tripletCost)).count == 1
        #expect(cost(chosen, spectra) <= (least ?? 0) + (isEqual ? 0 : dearest - 1))
      }
    }
    let (spectra, choices) = modules(seed, shapes: [[3, 7]])
    var poor = spectra
    poor[0].energy *= 2
    #expect(TripletBudget.energy(0.9).spread(choices, poor, bytesPerNumber: 2).unreached == 0.5)
  }

  @Test("modules of one rank take their triplets together, the best choice of such ranks", arguments: 1...10)
  func rankSets(seed: UInt64) {
    var (spectra, choices) = modules(seed, shapes: [[3, 7], [3, 7], [5, 5], [3, 7]])
    for index in [0, 1, 3] { spectra[index].rankSet = "experts" }
    // One of them has less than the others, and zeros instead.
    spectra[1].values.removeLast(2)
    choices[1] = TripletChoice()
    for (number, value) in spectra[1].values.enumerated() { choices[1].append(number, value) }
    for budget in [9, 10, 29, 30, 60, 85, 200] {
      let chosen = TripletBudget.parameters(budget).spread(choices, spectra, bytesPerNumber: 2).choices
      let ranks = chosen.map(\.numbers.count)
      #expect(ranks[0] == ranks[3] && ranks[1] == min(2, ranks[0]))
      #expect(30 * ranks[0] + 10 * ranks[2] <= budget)
      func energy(_ set: Int, _ alone: Int) -> Double {
        self.energy(zip(choices, [set, set, alone, set]).map { $0.prefix($1) })
      }
      let pairs = (0...4).flatMap { set in (0...4).map { alone in (set, alone) } }
      let affordable = pairs.filter { 30 * $0.0 + 10 * $0.1 <= budget }
      let best = affordable.map { energy($0.0, $0.1) }.max() ?? 0
      // Of unlike costs, the last that fits may not be the best: at most the energy of one candidate is missing.
      let largest = (1...4).map { energy($0, 0) - energy($0 - 1, 0) }.max() ?? 0
      #expect(self.energy(chosen) > best - largest)
    }
  }

  @Test("a budget holds with whatever is stored beside the factors")
  func zeros() throws {
    let (spectra, choices) = modules(3, shapes: [[3, 7], [7, 3], [5, 5], [5, 5]])
    // All get the rank of the largest, as PEFT has experts that are modules.
    func stored(_ ranks: [Int]) -> Int { 2 * 10 * 4 * (ranks.max() ?? 0) }
    for budget in [0, 39, 40, 79, 80, 120, 160] {
      let chosen = TripletBudget.parameters(budget)
        .spread(choices, spectra, bytesPerNumber: 2, byteCount: stored).choices
      let ranks = chosen.map(\.numbers.count)
      #expect(stored(ranks) <= 2 * budget)
      #expect(budget < 40 || ranks.contains { $0 > 0 })
    }
  }
}

extension TripletChoice {
  /// The first few.
  fileprivate func prefix(_ count: Int) -> TripletChoice {
    var first = TripletChoice()
    for (number, value) in zip(numbers, values).prefix(count) { first.append(number, value) }
    return first
  }
}
