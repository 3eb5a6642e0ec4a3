/// What the components of a group are vectors of.
public enum ComponentSide: String, Sendable, Codable, CaseIterable {
  /// Directions of the outputs: columns of `out_basis`.
  case out
  /// Directions of the inputs: columns of `in_basis`.
  case `in`
  /// Rank-one components of CP, with a vector on both sides.
  case both
}

/// One set of components of a group: their side, how many, and what stands before their numbers in names.
public struct ComponentSet: Sendable, Equatable {
  /// What they are vectors of.
  public let side: ComponentSide
  /// How many.
  public let count: Int
  /// `out` or `in` where a group has both; otherwise nothing.
  public let prefix: String

  /// The name of some of them, such as `q_proj:3` or `q_proj:out0-2`; 0 is the first in the folder's tensors.
  ///
  /// - Parameters:
  ///   - group: The group's short name.
  ///   - numbers: Which.
  /// - Returns: As it would be typed.
  public func name(_ group: String, _ numbers: TripletNumbers) -> String {
    "\(group):\(prefix)\(numbers.text)"
  }
}

extension JointGroupRecord {
  /// The sets of components that a group has.
  ///
  /// Tucker has two: each of them is all of the decomposition, cut along another side.
  ///
  /// - Parameter method: The folder's method.
  /// - Returns: One set, or two for Tucker.
  public func componentSets(_ method: JointMethod) -> [ComponentSet] {
    switch method {
    case .cp: [ComponentSet(side: .both, count: componentCount ?? 0, prefix: "")]
    case .tucker:
      [
        ComponentSet(side: .out, count: outRank ?? shape[0], prefix: "out"),
        ComponentSet(side: .in, count: inRank ?? shape[1], prefix: "in"),
      ]
    case .shared:
      [
        outRank.map { ComponentSet(side: .out, count: $0, prefix: "") }
          ?? ComponentSet(side: .in, count: inRank ?? 0, prefix: "")
      ]
    }
  }
}
