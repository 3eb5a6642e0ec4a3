/// Everything that decides which singular values of a decomposition an adapter gets, and what they become.
///
/// Limits count leading values of each module as it was decomposed; the edit then changes what is left; a budget is spread
/// over what the edit leaves.
public struct TripletRules: Sendable, Codable, Equatable {
  /// How many of each module.
  public var limits = RankLimits()
  /// What they become.
  public var edit = SpectrumEdit()
  /// How many of all modules.
  public var budget: TripletBudget?

  /// Everything that is stored, as it is.
  public init() {}

  /// Chooses for all modules.
  ///
  /// - Parameters:
  ///   - spectra: Of the modules that the adapter may have.
  ///   - bytesPerNumber: The width of the factors' type.
  ///   - byteCount: What is stored of factors of given ranks, if that is more than these: some modules are filled up with
  ///     zeros.
  /// - Returns: What each module gets, and sentences on what could not be had.
  /// - Throws: `SourceError` for a pattern that does not parse or matches no module.
  public func choices(
    for spectra: [ModuleSpectrum], bytesPerNumber: Int, byteCount: (([Int]) throws -> Int)? = nil
  ) throws -> (choices: [TripletChoice], notes: [String]) {
    let edit = try ParsedEdit(edit, modules: spectra.map(\.module))
    let outcomes = spectra.map(limits.outcome)
    var choices = zip(spectra, outcomes).map { spectrum, outcome in
      edit.choice(of: spectrum.module, spectrum.values.prefix(outcome.count))
    }
    var notes = edit.notes(on: spectra) + limitNotes(spectra, outcomes)
    if let budget {
      let spread = try budget.spread(
        choices, spectra, bytesPerNumber: bytesPerNumber, byteCount: byteCount)
      choices = spread.choices
      if let reached = spread.unreached {
        notes.append(
          "all the singular values there are have a share of \(reached) of the energy, less than --budget-energy"
        )
      }
    }
    return (choices, notes)
  }

  private func limitNotes(_ spectra: [ModuleSpectrum], _ outcomes: [RankLimits.Outcome]) -> [String] {
    var notes: [String] = []
    let short = outcomes.indices.filter { outcomes[$0].wantsMore }
    if let first = short.first {
      notes.append(
        "\(short.count) of \(spectra.count) modules (such as '\(spectra[first].module)') would take more singular "
          + "values than the decomposition holds; decompose with a larger --rank to have them")
    }
    if limits.cumulative != nil, spectra.contains(where: { !$0.isComplete }) {
      notes.append(
        "--sv-cumulative is of the sum of the stored singular values: that of all is known only of a decomposition at "
          + "full rank")
    }
    return notes
  }
}
