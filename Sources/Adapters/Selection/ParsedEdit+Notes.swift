internal import WeightSources

extension ParsedEdit {
  /// Sentences on rules whose numbers name nothing that these modules have.
  func notes(on spectra: [ModuleSpectrum]) -> [String] {
    let rules =
      edit.keep.map { ("--keep", $0.text, $0.pattern, $0.numbers) }
      + edit.drop.map { ("--drop", $0.text, $0.pattern, $0.numbers) }
      + edit.factors.map { ("--" + $0.kind.rawValue, $0.text, $0.pattern, $0.numbers) }
    var notes = rules.compactMap { option, text, pattern, numbers -> String? in
      let count = spectra.filter { matches(pattern, $0.module) }.map(\.values.count).max() ?? 0
      guard numbers.namesNothing(below: count) else { return nil }
      return "\(option) \(text) names no singular value: its modules have \(count) or fewer, counted from 0"
    }
    let layerCount = (spectra.compactMap { LayerPlace(module: $0.module).layer }.max() ?? -1) + 1
    for (option, numbers) in [("--layers", edit.layers), ("--drop-layers", edit.droppedLayers)]
    where numbers.namesNothing(below: layerCount) {
      notes.append(
        "\(option) \(numbers.text) names no layer: there are \(layerCount), counted from 0")
    }
    return notes
  }
}

extension TripletNumbers {
  /// Whether it names numbers, none of which is below a count.
  fileprivate func namesNothing(below count: Int) -> Bool {
    self != .none && self != .all && (count == 0 || !intersects(TripletNumbers(ranges: [0...count - 1])))
  }
}
