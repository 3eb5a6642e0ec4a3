import Analysis
import Testing

@Suite struct LayerRatiosTests {
  private static let ratios = LayerRatios([
    entry("model.layers.0.mlp.up_proj", "mlp.up_proj", 0.25),
    entry("model.layers.1.mlp.up_proj", "mlp.up_proj", .infinity),
    entry("model.layers.2.mlp.up_proj", "mlp.up_proj", 1.5e-5),
    entry("model.layers.3.mlp.up_proj", "mlp.up_proj", .infinity),
    entry("lm_head", "lm_head", 3),
    entry("model.layers.0.mlp.\"é\u{1F600}", "odd", .nan),
  ])

  private static func entry(_ module: String, _ type: String, _ ratio: Double) -> LayerRatios.Entry {
    LayerRatios.Entry(module: module, type: type, ratio: ratio)
  }

  @Test("results are written byte for byte as Python writes them")
  func flat() {
    let flat = LayerRatios(Array(Self.ratios.entries.suffix(3))).flatText
    #expect(
      flat == """
        {
            "model.layers.3.mlp.up_proj": {
                "snr": Infinity,
                "type": "mlp.up_proj"
            },
            "lm_head": {
                "snr": 3.0,
                "type": "lm_head"
            },
            "model.layers.0.mlp.\\"\\u00e9\\ud83d\\ude00": {
                "snr": NaN,
                "type": "odd"
            }
        }
        """)
  }

  @Test("modules are sorted by type, equal ones left in their order")
  func sorted() {
    let sorted = LayerRatios(Array(Self.ratios.entries.prefix(5))).sortedText
    #expect(
      sorted == """
        {
            "mlp.up_proj": {
                "model.layers.1.mlp.up_proj": Infinity,
                "model.layers.3.mlp.up_proj": Infinity,
                "model.layers.0.mlp.up_proj": 0.25,
                "model.layers.2.mlp.up_proj": 1.5e-05
            },
            "lm_head": {
                "lm_head": 3.0
            }
        }
        """)
  }

  @Test(
    "so many of each type are selected as the percentage gives, rounded down",
    arguments: [(0, 0, 0), (24, 0, 0), (25, 1, 0), (49, 1, 0), (50, 2, 0), (99, 3, 0), (100, 4, 1)])
  func selection(percent: Int, ofFour: Int, ofOne: Int) {
    let counts = LayerRatios(Array(Self.ratios.entries.prefix(5))).selection(topPercent: percent).map(
      \.modules.count)
    #expect(counts == [ofFour, ofOne])
  }

  @Test("the selection names head and embedding and every type, also one of which nothing is selected")
  func selectionText() {
    #expect(
      Self.ratios.selectionText(topPercent: 50) == """
        unfrozen_parameters:
        - ^lm_head.weight$
        - ^model.embed_tokens.weight$
        # mlp.up_proj layers
        - model.layers.1.mlp.up_proj
        - model.layers.3.mlp.up_proj
        # lm_head layers
        # odd layers

        """)
  }

  @Test("both layouts are read, with tokens that are no JSON")
  func reading() throws {
    let flat = try LayerRatios(parsing: Array(Self.ratios.flatText.utf8), path: "flat")
    #expect(flat.flatText == Self.ratios.flatText)
    let finite = LayerRatios(Array(Self.ratios.entries.prefix(5)))
    let nested = try LayerRatios(parsing: Array(finite.sortedText.utf8), path: "nested")
    #expect(nested.sortedText == finite.sortedText)
    #expect(nested.selectionText(topPercent: 50) == finite.selectionText(topPercent: 50))
    let negative = try LayerRatios(
      parsing: Array("{\"a\": {\"snr\": -Infinity, \"type\": \"t\"}}".utf8), path: "")
    #expect(negative.entries == [Self.entry("a", "t", -.infinity)])
  }

  @Test(
    "what holds no results is refused by name",
    arguments: [
      ("\n", "results: byte 1: the JSON text ends early"), ("{}", "results: holds no modules; "),
      ("[1]", "results: holds no modules; "), ("{\"a\": 1}", "results: has no object under 'a'; "),
      ("{\"a\": {\"snr\": \"1\", \"type\": \"t\"}}", "results: has no number 'snr' for module 'a'; "),
      ("{\"a\": {\"b\": null}}", "results: has no number for 'b' under 'a'; "),
      ("{\"a\": {\"snr\": Infinite, \"type\": \"t\"}}", "results: byte 14: no JSON value"),
    ])
  func refused(text: String, sentence: String) {
    let error = #expect(throws: (any Error).self) {
      try LayerRatios(parsing: Array(text.utf8), path: "results")
    }
    #expect(error.map { "\($0)".hasPrefix(sentence) } ?? false, "\(String(describing: error))")
  }

  @Test(
    "numbers are Python's",
    arguments: [
      (0.1, "0.1"), (1e-4, "0.0001"), (1.5e-5, "1.5e-05"),
      (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
      (1e16, "1e+16"), (9_999_999_999_999_998, "9999999999999998.0"), (1e22, "1e+22"),
      (.leastNonzeroMagnitude, "5e-324"),
      (.greatestFiniteMagnitude, "1.7976931348623157e+308"), (Double(Float(1 / 6.0)), "0.1666666716337204"),
      (-100, "-100.0"), (12345.678, "12345.678"), (1e15, "1000000000000000.0"), (0, "0.0"), (-0.0, "-0.0"),
      (9_007_199_254_740_994, "9007199254740994.0"), (1.25e-7, "1.25e-07"), (1e100, "1e+100"),
    ])
  func numbers(value: Double, text: String) { #expect(pythonText(value) == text) }

  @Test(
    "types follow the first number",
    arguments: [
      ("model.layers.3.mlp.up_proj", "mlp.up_proj", "mlp.up_proj"), ("lm_head", "lm_head", "lm_head"),
      ("model.layers.3.mlp.experts.17.down_proj", "mlp.experts.17.down_proj", "mlp.experts.*.down_proj"),
      ("block.2.layer.0.wi", "layer.0.wi", "layer.*.wi"), ("classifier.0", "", ""), ("h4.x", "h4.x", "h4.x"),
    ])
  func types(module: String, type: String, grouped: String) {
    #expect(spectrumType(ofModule: module) == type)
    #expect(groupedType(ofModule: module) == grouped)
  }

  @Test("modules come by number, types by their first component")
  func order() {
    let modules = ["m.layers.10.b", "m.layers.2.b", "m.layers.2.a", "m.layers", "a.9"]
    #expect(
      modules.sorted(by: isModuleBefore) == [
        "a.9", "m.layers", "m.layers.2.a", "m.layers.2.b", "m.layers.10.b",
      ])
    #expect(
      ["mlp-b.x", "mlp.z", "mlp.a", "lm"].sorted(by: isTypeBefore) == ["lm", "mlp.a", "mlp.z", "mlp-b.x"])
  }
}
