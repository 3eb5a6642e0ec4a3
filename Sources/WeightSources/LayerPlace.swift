/// The place of a module in a model: the number of its layer and what follows it.
package struct LayerPlace {
  /// The first component of the path that is a number; nil for a module outside the layers.
  package let layer: Int?
  /// The components after it; the whole path outside the layers.
  package let type: String

  /// The place of a module path.
  package init(module: String) {
    let parts = module.split(separator: ".", omittingEmptySubsequences: false)
    guard let index = parts.firstIndex(where: { Int($0) != nil }), index + 1 < parts.count else {
      (layer, type) = (nil, module)
      return
    }
    layer = Int(parts[index])
    type = parts[(index + 1)...].joined(separator: ".")
  }
}
