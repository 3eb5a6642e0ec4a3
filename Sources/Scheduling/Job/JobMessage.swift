internal import Foundation

/// Message tags of a job.
enum JobTag {
  /// To a rank: a unit to do, and with whom.
  static let unit = 1
  /// To a rank: no more units; answer with statistics.
  static let stop = 2
  /// From a rank: a unit's number and its result.
  static let result = 3
  /// From a rank: its part of a unit that another hands in is done.
  static let part = 4
  /// From a rank: an error.
  static let failure = 5
  /// From a rank: its statistics.
  static let statistics = 6
  /// Between the ranks of a team: partial sums.
  static let exchange = 7
  /// To rank 0: a signal asks to stop. To a rank: finish or drop what is in work.
  static let halt = 8
  /// From a rank: nothing is in work any longer, and what was finished has been sent.
  static let still = 9
  /// To a rank: all are still, or are not waited for.
  static let over = 10
}

extension Team {
  /// The team as it travels: three numbers.
  var encoded: [UInt8] {
    [unit, ranks.lowerBound, ranks.count].flatMap(UnitNumber.encode)
  }

  init(decoding bytes: [UInt8]) {
    let numbers = (0..<3).map { UnitNumber.decode(bytes.dropFirst($0 * UnitNumber.byteCount)) }
    self.init(unit: numbers[0], ranks: numbers[1]..<numbers[1] + numbers[2])
  }
}
