/// The `README.md` of an adapter that was made from a joint decomposition.
///
/// Like the card of an extraction it holds nothing that differs between two runs.
public struct JointAdapterCard: Sendable {
  /// The base model as the adapter's configuration names it.
  public let baseModel: String
  /// The fine-tuned model that the adapter stands for.
  public let tunedModel: String
  /// The method of the decomposition.
  public let method: JointMethod
  /// What was done to its components, as typed.
  public let options: [JointRecord.Option]
  /// All modules of the decomposition.
  public let modules: [JointModuleRecord]
  /// Sentences on blocks and the like.
  public let notes: [String]

  /// A card of given contents.
  public init(
    baseModel: String, tunedModel: String, method: JointMethod, options: [JointRecord.Option],
    modules: [JointModuleRecord], notes: [String]
  ) {
    self.baseModel = baseModel
    self.tunedModel = tunedModel
    self.method = method
    self.options = options
    self.modules = modules
    self.notes = notes
  }

  /// The card as Markdown with the front matter that model hubs read.
  public var markdown: String {
    [
      Markdown.frontMatter(baseModel: baseModel), introduction, optionTable, moduleTable,
      Markdown.notes(notes),
    ].compactMap { $0 }.joined(separator: "\n\n") + "\n"
  }

  private var introduction: String {
    """
    # LoRA adapter from a joint decomposition of `\(tunedModel)`

    The differences between the fine-tuned model and its base, decomposed together over the layers \
    (`\(method.rawValue)`), with the edit below. \(modules.count { $0.rank > 0 }) of \(modules.count) modules have
    factors. Residuals follow from the record of the decomposition and from the factors as written; where these tell
    no more than bounds, both are given. What a component does to the model's behaviour no number here can tell: measure
    it.

    \(Markdown.loading)
    """
  }

  private var optionTable: String? {
    options.isEmpty
      ? nil
      : "## Options\n\n"
        + Markdown.table(["option", "value"], options.map { ["`\($0.name)`", "`\($0.value)`"] })
  }

  private var moduleTable: String {
    let rows = modules.map { record in
      [
        "`\(record.module)`", "\(record.rank)", Markdown.scientific(record.norm),
        Markdown.scientific(record.writtenNorm), relative(record.departure, record),
        residual(of: record),
      ]
    }
    return "## Every module\n\n"
      + Markdown.table(
        [
          "module", "rank", "‖Δ‖", "‖BA‖", "changed of the decomposition, ‖Δ̂ − BA‖ / ‖Δ‖", "‖Δ − BA‖ / ‖Δ‖",
        ], rows)
  }

  private func residual(of record: JointModuleRecord) -> String {
    let (least, most) = (relative(record.leastResidual, record), relative(record.largestResidual, record))
    return least == most ? least : "\(least) to \(most)"
  }

  private func relative(_ value: Double, _ record: JointModuleRecord) -> String {
    Markdown.scientific(record.norm > 0 ? value / record.norm : 0)
  }
}
