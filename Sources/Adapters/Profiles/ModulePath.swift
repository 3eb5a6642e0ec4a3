/// A module's path taken apart at its layer's number.
struct ModulePath {
  /// The number of the layer; nil outside of the layers.
  let layer: Int?
  /// What follows the number, or all of it outside of the layers.
  let rest: String
  /// What comes before the number, without its dot.
  let stem: String
  /// Whether it is in the language model of a multimodal model, whose name is left out of the rest.
  let isInLanguageModel: Bool

  init(_ path: String) {
    var parts = path.split(separator: ".").map(String.init)
    // The language model of a multimodal one is the model as far as text goes.
    isInLanguageModel = parts.contains("language_model")
    parts.removeAll { $0 == "language_model" }
    if parts.starts(with: ["model", "model"]) { parts.removeFirst() }
    guard let place = parts.firstIndex(where: { Int($0) != nil }), place + 1 < parts.count else {
      layer = nil
      rest = parts.joined(separator: ".")
      stem = ""
      return
    }
    layer = Int(parts[place])
    rest = parts[(place + 1)...].joined(separator: ".")
    stem = parts[..<place].joined(separator: ".")
  }

  /// The expert's number and what stands around it, of a module inside one expert.
  var expert: (container: String, index: Int, name: String)? {
    let parts = rest.split(separator: ".").map(String.init)
    guard parts.count >= 3, let index = Int(parts[parts.count - 2]) else { return nil }
    return (parts.dropLast(2).joined(separator: "."), index, parts[parts.count - 1])
  }
}
