import Foundation
import Scheduling

/// Everything the program writes to standard error, in one voice.
enum Messages {
  /// Where a sentence comes from.
  struct Place {
    let rank: Int
    let rankCount: Int

    init(rank: Int, rankCount: Int) {
      self.rank = rank
      self.rankCount = rankCount
    }

    init(_ failure: JobFailure, rankCount: Int) {
      self.init(rank: failure.mpiRank, rankCount: rankCount)
    }
  }

  /// One error, one line; the rank is named where there are several.
  static func printError(_ sentence: String, at place: Place) {
    write("unbraid: " + (place.rankCount > 1 ? "rank \(place.rank): " : "") + sentence + "\n")
  }

  /// A sentence that is no error.
  static func printNotice(_ sentence: String) { write("unbraid: \(sentence)\n") }

  /// In one call, so that lines of several ranks do not mix.
  static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
