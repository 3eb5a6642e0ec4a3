extension LayerRatios {
  /// `snr_results_<slug>.json`: ratio and type of each module, as Python's json.dump writes it with an indent of 4.
  public var flatText: String {
    objectText(
      entries.map { entry in
        let members = [("snr", pythonText(entry.ratio)), ("type", quoted(entry.type))]
        return (entry.module, objectText(members, indent: 4))
      })
  }

  /// `snr_results_<slug>_sorted.json`: the ratios of the modules of each type, the highest first.
  public var sortedText: String {
    objectText(
      ranking.map { type, entries in
        (type, objectText(entries.map { ($0.module, pythonText($0.ratio)) }, indent: 4))
      })
  }

  /// `snr_results_<slug>_unfrozenparameters_<p>percent.yaml`: what axolotl is to train.
  ///
  /// Head and input embedding are always in it, under the names they have in most models.
  public func selectionText(topPercent: Int) -> String {
    let always = ["unfrozen_parameters:", "- ^lm_head.weight$", "- ^model.embed_tokens.weight$"]
    let chosen = selection(topPercent: topPercent).flatMap { type, modules in
      ["# \(type) layers"] + modules.map { "- \($0)" }
    }
    return (always + chosen).map { $0 + "\n" }.joined()
  }

  /// What the published tool makes of a model's name in the names of its files.
  public static func slug(ofModel name: String) -> String {
    String(name.map { $0 == "/" || $0 == "_" ? "-" : $0 })
  }
}

/// An object whose values are texts already; `indent` is that of the line it begins on.
private func objectText(_ members: [(key: String, value: String)], indent: Int = 0) -> String {
  guard !members.isEmpty else { return "{}" }
  let margin = String(repeating: " ", count: indent)
  let lines = members.map { "\(margin)    \(quoted($0.key)): \($0.value)" }
  return "{\n" + lines.joined(separator: ",\n") + "\n\(margin)}"
}

/// A string of ASCII characters alone, as json.dump writes it.
private func quoted(_ text: String) -> String {
  let escapes: [UInt16: String] = [
    0x22: "\\\"", 0x5C: "\\\\", 0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t",
  ]
  let body = text.utf16.map { unit -> String in
    if let escape = escapes[unit] { return escape }
    if (0x20..<0x7F).contains(unit) { return String(Character(Unicode.Scalar(UInt8(unit)))) }
    let digits = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  }
  return "\"" + body.joined() + "\""
}

/// A number as Python writes it: the shortest digits that give it back, an exponent below 1e-4 and from 1e16 on.
package func pythonText(_ value: Double) -> String {
  if value.isNaN { return "NaN" }
  if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
  if value == 0 { return value.sign == .minus ? "-0.0" : "0.0" }
  let (digits, exponent) = shortestDigits(value.magnitude)
  return (value < 0 ? "-" : "") + layOut(digits, exponent: exponent)
}

/// Digits d₁d₂… and the exponent e of d₁.d₂… × 10^e, from Swift's own text, which has the shortest digits too.
private func shortestDigits(_ value: Double) -> (digits: String, exponent: Int) {
  let parts = "\(value)".split(separator: "e")
  let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
  let (whole, fraction) = (String(mantissa[0]), mantissa.count > 1 ? String(mantissa[1]) : "")
  let all = whole + fraction
  let leadingZeros = all.prefix { $0 == "0" }.count
  let exponent = whole.count - 1 - leadingZeros + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
  var digits = String(all.dropFirst(leadingZeros))
  while digits.count > 1 && digits.last == "0" { digits.removeLast() }
  return (digits, exponent)
}

private func layOut(_ digits: String, exponent: Int) -> String {
  if exponent < -4 || exponent >= 16 {
    let sign = exponent < 0 ? "-" : "+"
    let magnitude = abs(exponent) < 10 ? "0\(abs(exponent))" : "\(abs(exponent))"
    let rest = digits.dropFirst()
    return "\(digits.prefix(1))\(rest.isEmpty ? "" : "." + rest)e\(sign)\(magnitude)"
  }
  if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + digits }
  let padded = digits + String(repeating: "0", count: max(0, exponent + 2 - digits.count))
  return "\(padded.prefix(exponent + 1)).\(padded.dropFirst(exponent + 1))"
}
