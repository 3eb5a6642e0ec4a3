internal import Foundation
internal import Yams

/// One value of a plan file with the way to it, so that whatever is wrong with it can be said in one sentence.
struct PlanNode {
  private let file: String
  /// The keys that lead to it, such as `pairs[1].tuned`; empty for the whole file.
  let key: String
  private let node: Node

  /// The whole of a file.
  ///
  /// - Throws: `SweepPlanError` if it cannot be read or is no YAML.
  init(file: String) throws(SweepPlanError) {
    self.file = file
    key = ""
    guard let data = FileManager.default.contents(atPath: file) else {
      throw SweepPlanError(file: file, line: nil, sentence: "cannot be read; give the path of a plan file")
    }
    do {
      guard let node = try compose(yaml: String(decoding: data, as: UTF8.self)) else {
        throw SweepPlanError(file: file, line: nil, sentence: "is empty; a plan needs 'pairs' and 'output'")
      }
      self.node = node
    } catch let error as SweepPlanError {
      throw error
    } catch {
      throw SweepPlanError(file: file, line: (error as? YamlError)?.line, sentence: "\(error.sentence)")
    }
  }

  private init(_ node: Node, key: String, in parent: PlanNode) {
    file = parent.file
    self.key = key
    self.node = node
  }

  /// The error for this value.
  ///
  /// - Parameter problem: What is wrong and the remedy, to follow the key.
  /// - Returns: An error with the place.
  func error(_ problem: String) -> SweepPlanError {
    SweepPlanError(file: file, line: node.mark?.line, sentence: key.isEmpty ? problem : "'\(key)' \(problem)")
  }

  private func error(wanted: String) -> SweepPlanError { error("is \(kind); give \(wanted)") }

  /// What stands there, in words.
  private var kind: String {
    switch node {
    case .scalar(let scalar): scalar.string.isEmpty ? "empty" : "'\(scalar.string)'"
    case .mapping: "a mapping"
    case .sequence(let nodes): nodes.isEmpty ? "an empty list" : "a list"
    case .alias: "an alias"
    }
  }

  /// The members of a mapping that knows these keys and no others.
  ///
  /// - Parameter keys: Nil for any keys.
  /// - Returns: The values by their keys.
  /// - Throws: `SweepPlanError` for anything but a mapping, and for an unknown key.
  func members(_ keys: [String]? = nil) throws(SweepPlanError) -> [String: PlanNode] {
    guard case .mapping(let mapping) = node else {
      throw error(wanted: "a mapping" + (keys.map { " of \($0.joined(separator: ", "))" } ?? ""))
    }
    var members: [String: PlanNode] = [:]
    for (name, value) in mapping {
      let text = name.scalar?.string ?? ""
      let member = PlanNode(value, key: key.isEmpty ? text : "\(key).\(text)", in: self)
      if let keys, !keys.contains(text) {
        let unknown = PlanNode(name, key: member.key, in: self)
        throw unknown.error("is no key of a plan; here are \(keys.joined(separator: ", "))")
      }
      members[text] = member
    }
    return members
  }

  /// The members of a list of one or more.
  func elements() throws(SweepPlanError) -> [PlanNode] {
    guard case .sequence(let sequence) = node, !sequence.isEmpty else {
      throw error(wanted: "a list of one or more, or leave it out")
    }
    return sequence.enumerated().map { PlanNode($1, key: "\(key)[\($0)]", in: self) }
  }

  /// The members of a list, or the one value that stands for a list of one.
  func elementsOrOne() throws(SweepPlanError) -> [PlanNode] {
    if case .scalar = node { return [self] }
    return try elements()
  }

  func text() throws(SweepPlanError) -> String {
    guard case .scalar(let scalar) = node, !scalar.string.isEmpty else { throw error(wanted: "a text") }
    return scalar.string
  }

  /// A text of letters, digits, dots, dashes and underscores: part of a folder's name.
  func name() throws(SweepPlanError) -> String {
    let text = try text()
    let isPlain = text.unicodeScalars.allSatisfy {
      $0.isASCII
        && ($0.properties.isAlphabetic || $0.properties.numericType != nil
          || "._-".unicodeScalars.contains($0))
    }
    guard isPlain, !text.hasPrefix("."), !text.hasPrefix("-") else {
      throw error(
        "is '\(text)', but names become folders: use letters, digits, '_', '.' and '-', the last two not in front"
      )
    }
    return text
  }

  func integer(atLeast least: Int, or example: Int) throws(SweepPlanError) -> Int {
    guard let number = node.int, number >= least else {
      throw error(wanted: "a whole number of \(least) or more, such as \(example)")
    }
    return number
  }

  func seed() throws(SweepPlanError) -> UInt64 {
    guard let number = UInt64(try text()) else { throw error(wanted: "a whole number of 0 or more") }
    return number
  }

  func number(_ isGood: (Double) -> Bool, _ wanted: String) throws(SweepPlanError) -> Double {
    guard let number = node.float, number.isFinite, isGood(number) else { throw error(wanted: wanted) }
    return number
  }

  func flag() throws(SweepPlanError) -> Bool {
    guard let value = node.bool else { throw error(wanted: "true or false") }
    return value
  }

  /// One of the values of an enumeration.
  func choice<Choice: RawRepresentable<String> & CaseIterable>(_ type: Choice.Type) throws(SweepPlanError)
    -> Choice
  {
    guard let choice = Choice(rawValue: try text()) else {
      throw error(wanted: Choice.allCases.map { "'\($0.rawValue)'" }.joined(separator: " or "))
    }
    return choice
  }
}

extension YamlError {
  fileprivate var line: Int? {
    switch self {
    case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
    case .duplicatedKeysInMapping(_, let context): context.mark.line
    default: nil
    }
  }
}

extension Error {
  /// What a YAML parser complains of, on one line.
  fileprivate var sentence: String {
    switch self as? YamlError {
    case .scanner(let context, let problem, _, _), .parser(let context, let problem, _, _),
      .composer(let context, let problem, _, _):
      "is no YAML: \(context.map { "\($0.text) " } ?? "")\(problem)"
    case .duplicatedKeysInMapping(let keys, _):
      "the key '\(keys.joined(separator: "', '"))' stands twice; keep one"
    default: "is no YAML: \(self)"
    }
  }
}
