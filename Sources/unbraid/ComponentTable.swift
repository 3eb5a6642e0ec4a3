import Adapters
import Checkpoints
import Foundation

/// The components of a group as a table for a terminal.
struct ComponentTable {
  private let listing: ComponentListing
  private let tuned: [String]
  private let limit: Int?

  /// A table of the strongest blocks.
  ///
  /// - Parameters:
  ///   - listing: The group's components.
  ///   - tuned: The fine-tuned models.
  ///   - limit: How many rows of each set; nil for all.
  init(_ listing: ComponentListing, tuned: [String], limit: Int?) {
    self.listing = listing
    self.tuned = tuned
    self.limit = limit
  }

  var text: String {
    let head =
      "\(listing.shortName) (\(listing.group)): \(listing.modules.count) layers, "
      + String(format: "%.2f %% of the energy in the decomposition", 100 * listing.energyKept)
    return ([([head] + listing.notes).joined(separator: "\n")] + listing.sets.map(table)).joined(
      separator: "\n\n")
  }

  private func table(_ set: ComponentListing.SetListing) -> String {
    let models = tuned.count > 1 ? tuned.map { fileName($0) } : []
    let rows = set.blocks.prefix(limit ?? Int.max).map { block in
      [
        block.name, percent(block.energyShare), block.gap.map { String(format: "%.3f", $0) } ?? "",
        layers(block.layerShares),
      ] + models.indices.map { use(block, set, model: $0) }
    }
    let rest = set.blocks.count - rows.count
    let table = TextTable.text(
      ["component", "energy", "gap", "layers"] + models, rows, textColumns: ["component", "layers"])
    return table + (rest > 0 ? "\nand \(rest) more" : "")
  }

  /// The part of a block's energy in one fine-tuned model, with a sign where a component is used with one.
  private func use(_ block: ComponentListing.Block, _ set: ComponentListing.SetListing, model: Int) -> String
  {
    let share = percent(block.tunedShares[model])
    guard block.members.count == 1, let uses = set.components[block.members[0]].tunedUse else { return share }
    return (uses[model] < 0 ? "-" : "+") + share
  }

  /// The layers with the most energy, as few as hold four fifths of it together.
  private func layers(_ shares: [Double]) -> String {
    var chosen: [Int] = []
    var sum = 0.0
    for index in shares.indices.sorted(by: { (shares[$1], $0) < (shares[$0], $1) }) where sum < 0.8 {
      chosen.append(index)
      sum += shares[index]
    }
    let numbers = chosen.map { listing.layers[$0] ?? $0 }
    return "\(TripletNumbers(ranges: numbers.map { $0...$0 }).text) (\(Int((100 * sum).rounded())) %)"
  }

  private func percent(_ fraction: Double) -> String { String(format: "%.2f %%", 100 * fraction) }
}
