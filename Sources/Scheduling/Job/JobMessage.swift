/// Message tags of a job.
enum JobTag {
  /// To a rank of another node: work is wanted; one byte tells whether the asking rank is idle.
  static let ask = 1
  /// From a rank that was asked: a `StealAnswer`.
  static let answer = 2
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
  /// To a rank: all is done; answer with statistics.
  static let end = 8
  /// A `StopRequest`, from a rank that has seen a signal or from rank 0 to all.
  static let halt = 9
  /// From a rank: nothing is in work any longer, and what was finished has been sent.
  static let still = 10
  /// To a rank: nobody waits for anybody any more; after a stop with its `StopRequest`.
  static let over = 11

  /// All that is not a result, nor tells that there are no more of them.
  static let besideResults = [ask, answer, part, failure, statistics, exchange, end, halt, over]
}
