import Testing

/// The parent of all suites that start ranks, which run one after the other: two cores hold one job at a time.
@Suite(.serialized) enum SchedulingSuite {}
