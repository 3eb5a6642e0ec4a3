public import Checkpoints
public import Foundation
internal import LinearAlgebra

/// On which side another update's directions are taken out of an update.
public enum ProjectionSide: String, Sendable, CaseIterable {
  /// Δ ← (I − P)·Δ: nothing is written to what the other one writes to.
  case out
  /// Δ ← Δ·(I − Q): nothing is read from what the other one reads from.
  case `in`
  /// Δ ← (I − P)·Δ·(I − Q): neither.
  case both
}

extension LowRankUpdate {
  /// The update without its part in the subspaces of another one; the rank does not grow.
  ///
  /// With P and Q the orthogonal projections onto the directions that the other one writes to and reads from, it is
  /// (I − P)·B·A·(I − Q). What is left is orthogonal to them up to the rounding of single precision, and until the
  /// factors are rounded to a narrower type. It is not the nearest such update: the part P·Δ·(I − Q), which only
  /// one side shares, goes as well.
  ///
  /// - Parameters:
  ///   - other: Whose directions are taken out.
  ///   - side: On which side.
  /// - Returns: Factors of the same rank.
  package func removing(_ other: UpdateSubspaces, on side: ProjectionSide) -> LowRankUpdate {
    let left = b.matrix.firstRows(b.rowCount)
    let right = a.matrix.firstRows(a.rowCount)
    // The second time takes out what rounding has left of the first.
    for _ in 0..<2 {
      if side != .in {
        let inside = Matrix<Float>(uninitializedRows: other.rank, columns: rank)
        multiply(other.outputs.matrix.view, left.view, into: inside.view)
        multiply(other.outputs.matrix.view.transposed, inside.view, into: left.view, alpha: -1, beta: 1)
      }
      if side != .out {
        let inside = Matrix<Float>(uninitializedRows: rank, columns: other.rank)
        multiply(right.view, other.inputs.matrix.view.transposed, into: inside.view)
        multiply(inside.view, other.inputs.matrix.view, into: right.view, alpha: -1, beta: 1)
      }
    }
    return LowRankUpdate(b: left, a: right)
  }
}

/// Takes what one collection holds out of another one's updates, module by module.
public struct Projection {
  /// On which side.
  public let side: ProjectionSide
  /// The modules of the other collection that both change.
  public let affected: [String]
  private let other: any UpdateCollection
  private let places: [String: Int]

  /// Prepares to take directions out.
  ///
  /// - Parameters:
  ///   - other: B, whose directions are taken out.
  ///   - collection: A, whose updates they are taken out of.
  ///   - side: On which side.
  /// - Throws: `OverlapError` if they have no module in common or a module differs in shape.
  public init(
    removing other: any UpdateCollection, from collection: any UpdateCollection, on side: ProjectionSide
  )
    throws
  {
    let common = try CommonModules(collection, other)
    self.side = side
    self.other = other
    places = Dictionary(
      common.pairs.map { (collection.modules[$0.first], $0.second) }, uniquingKeysWith: { first, _ in first })
    affected = common.pairs.map { collection.modules[$0.first] }
  }

  /// One of A's updates without its part in B's subspaces; the same if B does not change the module.
  ///
  /// - Parameters:
  ///   - update: A's.
  ///   - module: Its path, as A has it.
  /// - Returns: Factors of the same rank.
  /// - Throws: `LAPACKError`, or what is wrong with B.
  package func apply(to update: LowRankUpdate, module: String) throws -> LowRankUpdate {
    guard let place = places[module], let found = try other.update(at: place) else { return update }
    return update.removing(try UpdateSubspaces(found.factors), on: side)
  }
}

/// An adapter without its part in another collection's subspaces, as a source of updates.
public struct ProjectedSource: UpdateSource {
  private let source: any UpdateSource
  private let projection: Projection

  /// Prepares an adapter's updates.
  ///
  /// - Parameters:
  ///   - source: A.
  ///   - projection: Of the same adapter's updates.
  public init(_ source: any UpdateSource, _ projection: Projection) {
    self.source = source
    self.projection = projection
  }

  /// The adapter's folder.
  public var path: String { source.path }
  /// All updates.
  public var updates: [AdapterUpdate] { source.updates }
  /// Tensors that are no factors.
  public var otherTensors: [TensorLocation] { source.otherTensors }
  /// The adapter's configuration.
  public var configuration: Data { source.configuration }
  /// What that says about the factors.
  public var settings: StoredPEFTConfiguration { source.settings }
  /// None: a narrow type would bring back what was taken out, as far as it rounds.
  public var factorType: FactorType? { nil }

  /// The factors of the update at an index.
  public func factors(at index: Int) throws -> UpdateFactors {
    let whole = try source.factors(at: index)
    let rest = try projection.apply(
      to: LowRankUpdate(b: whole.b, a: whole.a), module: source.updates[index].path)
    return UpdateFactors(a: rest.a, b: rest.b)
  }
}
