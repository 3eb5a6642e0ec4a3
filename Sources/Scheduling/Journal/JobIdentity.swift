public import Checkpoints
internal import Foundation

/// What a job does and on what: two jobs with the same identity write the same bytes.
public struct JobIdentity: Sendable, Codable, Equatable {
  /// The options as they were resolved, named as on the command line, and the program's version.
  public private(set) var options: [Option]
  /// The files it reads, as they were when it was planned.
  public let inputs: [InputFile]
  /// The units by number: what a journal's results belong to.
  public let units: ContentHash
  /// What may change the last bits only: the kernels of the BLAS, and ranks where their number matters.
  public let circumstances: [Option]

  /// One option and its value.
  public struct Option: Sendable, Codable, Equatable {
    /// As on the command line.
    public let name: String
    /// As it would be typed.
    public let value: String
  }

  /// An identity of given parts; `units` has a line for each unit.
  public init(
    options: [(name: String, value: String)], inputs: [InputFile], units: [String] = [],
    circumstances: [(name: String, value: String)] = []
  ) {
    self.options = options.map { Option(name: $0.name, value: $0.value) }
    self.inputs = inputs
    self.units = ContentHash(of: Array(units.joined(separator: "\n").utf8))
    self.circumstances = circumstances.map { Option(name: $0.name, value: $0.value) }
  }

  /// What has changed since another job of the same identity that may change last bits; a sentence each.
  public func changes(since other: JobIdentity) -> [String] {
    circumstances.compactMap { now in
      guard let then = other.circumstances.first(where: { $0.name == now.name }), then != now else {
        return nil
      }
      return "\(now.name) \(now.value) now, \(then.value) then; the last bits may differ"
    }
  }

  /// The same with one more option.
  ///
  /// - Parameters:
  ///   - name: As on a command line.
  ///   - value: As it would be typed.
  /// - Returns: Another identity.
  public func adding(option name: String, _ value: String) -> JobIdentity {
    var identity = self
    identity.options.append(Option(name: name, value: value))
    return identity
  }

  /// What is different about another job, a sentence each; empty if nothing is.
  public func differences(to other: JobIdentity) -> [String] {
    var sentences: [String] = []
    for name in (options + other.options).map(\.name).uniqued() {
      let (here, there) = (values(name), other.values(name))
      if here != there { sentences.append("\(name) \(text(there)) there, \(text(here)) here") }
    }
    for input in inputs {
      guard let before = other.inputs.first(where: { $0.path == input.path }),
        let difference = input.difference(since: before)
      else { continue }
      sentences.append("\(input.path) \(difference)")
    }
    sentences += files(of: self, missingIn: other).map { "\($0) read here, but not there" }
    sentences += files(of: other, missingIn: self).map { "\($0) read there, but not here" }
    if sentences.isEmpty && units != other.units {
      sentences.append("another build of unbraid planned it (units \(other.units) there, \(units) here)")
    }
    return sentences
  }

  /// The values of an option that may be given several times.
  private func values(_ name: String) -> [String] { options.filter { $0.name == name }.map(\.value) }
}

/// The files that one job reads and another does not: the first one's path and a verb, or nothing.
private func files(of job: JobIdentity, missingIn other: JobIdentity) -> [String] {
  let paths = Set(other.inputs.map(\.path))
  let missing = job.inputs.map(\.path).filter { !paths.contains($0) }
  guard let first = missing.first else { return [] }
  return [missing.count == 1 ? "\(first) is" : "\(first) and \(moreFiles(missing.count - 1)) are"]
}

/// How many files there are beside one that is named.
func moreFiles(_ count: Int) -> String { count == 1 ? "1 more file" : "\(count) more files" }

private func text(_ values: [String]) -> String {
  values.isEmpty ? "not given" : values.joined(separator: ", ")
}

extension InputFile {
  /// What became of a file since it was looked at before, as the rest of a sentence; nil if nothing did.
  func difference(since before: InputFile) -> String? {
    if before.size != size { return "has \(size) bytes now and had \(before.size) then" }
    if before.header != header { return "has another header (hash \(header), then \(before.header))" }
    if before.modified != modified {
      return "was changed on \(date(modified)), after the \(date(before.modified)) of then"
    }
    return nil
  }
}

private func date(_ nanoseconds: Int) -> String {
  Date(timeIntervalSince1970: Double(nanoseconds) * 1e-9)
    .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
}

extension Sequence where Element: Hashable {
  fileprivate func uniqued() -> [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
