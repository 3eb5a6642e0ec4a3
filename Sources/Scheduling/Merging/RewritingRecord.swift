internal import Foundation

/// `unbraid.json`: what a model was made of, beside its weights.
///
/// For a person, and for the same command when it is started again, which a scheduler does without knowing that the model
/// is complete.
struct RewritingRecord: Codable {
  private let format: String
  private let job: JobIdentity
  /// Tensors that are not those of the source.
  private let changedCount: Int
  /// All tensors.
  private let tensorCount: Int

  private static let fileName = "unbraid.json"
  private static let format = "unbraid model 1"

  init(_ job: JobIdentity, _ report: RewritingReport) {
    format = Self.format
    self.job = job
    changedCount = report.changedCount
    tensorCount = report.tensorCount
  }

  /// The record of a folder; nil if it has none.
  static func read(folder: String) -> RewritingRecord? {
    let data = FileManager.default.contents(atPath: folder + "/" + fileName)
    let record = data.flatMap { try? JSONDecoder().decode(RewritingRecord.self, from: $0) }
    return record?.format == format ? record : nil
  }

  /// Writes it durably.
  func write(folder: String) throws { try writeDurably(encodedJSON(self), to: folder + "/" + Self.fileName) }

  /// Whether the model is what a job makes.
  func isOf(_ job: JobIdentity) -> Bool { job.differences(to: self.job).isEmpty }

  /// What a person wants to read of the model.
  var summary: String { "\(changedCount) of \(tensorCount) tensors changed" }
}
