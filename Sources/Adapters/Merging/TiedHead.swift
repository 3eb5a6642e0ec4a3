internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// A head that shares the input embedding's weights, seen from adapters that change one of them or both.
///
/// PEFT adds an adapter's update to the one module it was trained for. The merged model can keep one table for both only
/// if both change alike.
struct TiedHead {
  /// The table.
  let table: TensorLocation
  /// The path of the head.
  let name: String
  /// Whether the head's changes are the table's.
  let staysTied: Bool

  /// Nil if the head is not tied, or if neither it nor the table changes.
  init?(_ model: ModelUnderAdapters, _ terms: [AdapterMerge.Term]) throws {
    guard let table = model.tiedTable else { return nil }
    let changes = terms.map { TiedChanges($0.adapter, table: table.name, in: model) }
    guard changes.contains(where: { !$0.isEmpty }) else { return nil }
    self.table = table
    name = changes.lazy.compactMap(\.headName).first ?? "lm_head"
    staysTied = try changes.allSatisfy { try $0.areEqual(DeltaReader()) }
  }
}

/// What one adapter does to the table and to the head.
private struct TiedChanges {
  private let adapter: PEFTAdapter
  private let tableModule: PEFTAdapter.Module?
  private let headModule: PEFTAdapter.Module?
  private let savedTable: PEFTAdapter.SavedTensor?
  private let savedHead: PEFTAdapter.SavedTensor?

  init(_ adapter: PEFTAdapter, table: String, in model: ModelUnderAdapters) {
    self.adapter = adapter
    tableModule = adapter.modules.first { model.tensor($0.path + ".weight")?.name == table }
    headModule = adapter.modules.first { isHead($0.path) }
    savedTable = adapter.saved.first { model.tensor($0.name)?.name == table }
    savedHead = adapter.saved.first { $0.name.hasSuffix(".weight") && isHead(modulePath(ofTensor: $0.name)) }
  }

  var isEmpty: Bool {
    tableModule == nil && headModule == nil && savedTable == nil && savedHead == nil
  }

  var headName: String? { headModule?.path ?? savedHead.map { modulePath(ofTensor: $0.name) } }

  func areEqual(_ reader: DeltaReader) throws -> Bool {
    // `ensure_weight_tying` says what was wished for: where PEFT really ties, it stores the head's tensors too.
    try areModulesEqual(reader) && areSavedEqual(reader)
  }

  /// Whether A of one is Bᵀ of the other, both ways.
  private func areModulesEqual(_ reader: DeltaReader) throws -> Bool {
    guard let tableModule, let headModule else { return tableModule == nil && headModule == nil }
    guard tableModule.scale == headModule.scale, tableModule.rank == headModule.rank else { return false }
    let ofTable = try adapter.readFactors(of: tableModule, with: reader)
    let ofHead = try adapter.readFactors(of: headModule, with: reader)
    return ofTable.a.transposed().elements == ofHead.b.elements
      && ofTable.b.transposed().elements == ofHead.a.elements
  }

  private func areSavedEqual(_ reader: DeltaReader) throws -> Bool {
    guard let savedTable, let savedHead else { return savedTable == nil && savedHead == nil }
    guard savedTable.location.elementType == savedHead.location.elementType else { return false }
    return try reader.readBytes(savedTable.location) == reader.readBytes(savedHead.location)
  }
}
