public import Scheduling

/// One adapter that a sweep makes: a point of the plan's grid, or an edit that a search tries.
public struct Experiment: Sendable, Codable {
  /// Its folder's name, which says what it is.
  public let name: String
  /// The models.
  public let pair: SweepPlan.Pair
  /// The rank before the edit.
  public let rank: ExtractionRequest.RankRule
  /// How long iterations go on.
  public let tolerance: Double
  /// Which modules.
  public let filter: SweepPlan.Filter
  /// Which singular values.
  public let edit: SweepPlan.Edit
}

/// Experiments that one decomposition serves: those of one pair and one tolerance.
public struct ExperimentGroup: Sendable {
  /// Its number, the index of an array job.
  public let index: Int
  /// Its name, for its journal.
  public let name: String
  /// The models.
  public let pair: SweepPlan.Pair
  /// How long iterations go on.
  public let tolerance: Double
  /// Its part of the grid, in the plan's order.
  public let experiments: [Experiment]
  /// Whether the search takes its factors.
  public let isSearched: Bool
}

extension SweepPlan {
  /// The groups: pairs in the plan's order, and the tolerances of each.
  public var groups: [ExperimentGroup] {
    var groups: [ExperimentGroup] = []
    for pair in pairs {
      for tolerance in tolerances {
        let name = pair.name + (named.contains(.tolerances) ? "-\(label(tolerance))" : "")
        groups.append(
          ExperimentGroup(
            index: groups.count, name: name, pair: pair, tolerance: tolerance,
            experiments: experiments(of: pair, tolerance),
            isSearched: search?.pair == pair.name && tolerance == tolerances.first))
      }
    }
    return groups
  }

  /// The whole grid: pairs, tolerances, ranks, filters, edits, the last varying fastest.
  public var experiments: [Experiment] { groups.flatMap(\.experiments) }

  private func experiments(of pair: Pair, _ tolerance: Double) -> [Experiment] {
    ranks.flatMap { rank in
      filters.flatMap { filter in
        edits.map { edit in
          var parts = [pair.name, rank.label]
          if named.contains(.tolerances) { parts.append(label(tolerance)) }
          if named.contains(.filters) { parts.append(filter.name) }
          if named.contains(.edits) { parts.append(edit.name) }
          return Experiment(
            name: parts.joined(separator: "-"), pair: pair, rank: rank, tolerance: tolerance, filter: filter,
            edit: edit)
        }
      }
    }
  }

  private func label(_ tolerance: Double) -> String { "t\(tolerance)" }

  /// What `unbraid extract` would be asked for an experiment.
  ///
  /// - Parameter experiment: Of this plan.
  /// - Returns: The request, without the edit.
  /// - Throws: `RequestError` if a number is out of its range; a plan's reader has seen to it that none is.
  public func request(for experiment: Experiment) throws -> ExtractionRequest {
    try ExtractionRequest(
      basePath: experiment.pair.basePath, tunedPath: experiment.pair.tunedPath,
      baseName: experiment.pair.baseName, rank: experiment.rank, tolerance: experiment.tolerance,
      method: options.method, seed: options.seed, selection: experiment.filter.selection,
      factorType: options.factorType, acceptsMixedTypes: options.acceptsMixedTypes,
      savesNorms: options.savesNorms, savesBias: options.savesBias)
  }
}

extension ExtractionRequest.RankRule {
  /// As it stands in a name: `r8`, or `r0.25` for a fraction.
  var label: String {
    switch self {
    case .number(let number): "r\(number)"
    case .fraction(let fraction): "r\(fraction)"
    }
  }
}
