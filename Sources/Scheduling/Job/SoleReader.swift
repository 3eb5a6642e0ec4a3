internal import WeightSources

/// A reader of tensors for work whose reading thread alone uses it.
final class SoleReader: @unchecked Sendable {
  // Sendable because units are read one after the other, by one thread.
  let deltas = DeltaReader()
}
