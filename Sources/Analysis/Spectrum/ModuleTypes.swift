/// The type of a module as Spectrum has it: what follows the first number in its path; the whole path without one.
///
/// `mlp.experts.17.down_proj` of layer 3 is a type of its own by that.
public func spectrumType(ofModule module: String) -> String {
  let parts = module.split(separator: ".", omittingEmptySubsequences: false)
  guard let layer = parts.firstIndex(where: isNumber) else { return module }
  return parts[(layer + 1)...].joined(separator: ".")
}

/// The same with a star for every further number: experts of all layers are of one type.
public func groupedType(ofModule module: String) -> String {
  spectrumType(ofModule: module).split(separator: ".", omittingEmptySubsequences: false)
    .map { isNumber($0) ? "*" : String($0) }.joined(separator: ".")
}

/// Types in the order of the published tool's list: by the first component, then by the rest.
public func isTypeBefore(_ one: String, _ other: String) -> Bool {
  let first = one.prefix { $0 != "." }
  let second = other.prefix { $0 != "." }
  return first == second ? one < other : first < second
}

/// Modules in the order in which a model has them, as far as names tell: numbers by value, all else by name.
public func isModuleBefore(_ one: String, _ other: String) -> Bool {
  let (first, second) = (one.split(separator: "."), other.split(separator: "."))
  for (a, b) in zip(first, second) where a != b {
    if let left = Int(a), let right = Int(b) { return left < right }
    return a < b
  }
  return first.count < second.count
}

private func isNumber(_ component: Substring) -> Bool {
  !component.isEmpty && component.utf8.allSatisfy { (0x30...0x39).contains($0) }
}
