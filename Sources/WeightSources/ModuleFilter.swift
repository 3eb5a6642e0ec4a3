/// The part of a selection that the command line decides: targets, patterns, embeddings, head.
struct ModuleFilter {
  private let options: ModuleSelection.Options
  private let include: [Regex<AnyRegexOutput>]
  private let exclude: [Regex<AnyRegexOutput>]

  /// Parses the patterns and sees to it that each of them says something about these modules.
  init(_ options: ModuleSelection.Options, candidates: [String]) throws {
    self.options = options
    include = try options.include.map { try parsePattern($0, option: "--include", candidates: candidates) }
    exclude = try options.exclude.map { try parsePattern($0, option: "--exclude", candidates: candidates) }
    for target in options.targets where !candidates.contains(where: { matches(target, $0) }) {
      throw SourceError.patternMatchesNothing(
        option: "--targets", pattern: target, candidateCount: candidates.count,
        example: candidates.first ?? "")
    }
  }

  func reasonToLeaveOut(_ module: String, role: ModuleRole) -> ModuleSelection.Reason? {
    // A target that names the head or an embedding asks for it, as a flag would.
    let isTargeted = options.targets.contains { matches($0, module) }
    if role == .embedding && !options.takesEmbeddings && !isTargeted { return .embedding }
    if role == .head && !options.takesHead && !isTargeted { return .head }
    let isAskedByFlag = role != .linear && !isTargeted
    if !options.targets.isEmpty && !isTargeted && !isAskedByFlag { return .filtered }
    if !include.isEmpty && !include.contains(where: { module.contains($0) }) && !isAskedByFlag {
      return .filtered
    }
    return exclude.contains { module.contains($0) } ? .filtered : nil
  }
}

extension ModuleSelection {
  /// The items that targets and patterns leave, whatever their roles.
  ///
  /// - Parameters:
  ///   - items: To choose from.
  ///   - options: Of which `takesEmbeddings` and `takesHead` do not count.
  ///   - path: An item's module path.
  /// - Returns: The chosen ones, in their order.
  /// - Throws: `SourceError` for a pattern that matches nothing, and if nothing is left.
  package static func filtered<Item>(_ items: [Item], by options: Options, path: (Item) -> String) throws
    -> [Item]
  {
    let filter = try ModuleFilter(options, candidates: items.map(path))
    let left = items.filter { filter.reasonToLeaveOut(path($0), role: .linear) == nil }
    guard !left.isEmpty else { throw SourceError.nothingSelected(candidateCount: items.count) }
    return left
  }
}

/// Whether a target names this module, as PEFT's `target_modules` would: its path or the end of it.
///
/// The name of a stack of experts stands for each of them, as in PEFT's `target_parameters`.
private func matches(_ target: String, _ module: String) -> Bool {
  let stack = isInStack(module) ? module.prefix { $0 != "[" } : module[...]
  return [module[...], stack].contains { $0 == target || $0.hasSuffix("." + target) }
}

/// A pattern of the command line, which must match some module.
///
/// - Throws: `SourceError` if it does not parse or matches none of the candidates.
package func parsePattern(_ pattern: String, option: String, candidates: [String]) throws -> Regex<
  AnyRegexOutput
> {
  let regex: Regex<AnyRegexOutput>
  do {
    regex = try Regex(pattern)
  } catch {
    throw SourceError.malformedPattern(option: option, pattern: pattern, reason: "\(error)")
  }
  guard candidates.contains(where: { $0.contains(regex) }) else {
    throw SourceError.patternMatchesNothing(
      option: option, pattern: pattern, candidateCount: candidates.count, example: candidates.first ?? "")
  }
  return regex
}
