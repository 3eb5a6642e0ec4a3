internal import Foundation

/// The pieces that model cards are made of.
enum Markdown {
  /// A table; its columns are as wide as their reader likes.
  static func table(_ header: [String], _ rows: [[String]]) -> String {
    ([header, header.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
      .joined(separator: "\n")
  }

  /// The front matter that model hubs read.
  static func frontMatter(baseModel: String) -> String {
    """
    ---
    base_model: \(quoted(baseModel))
    library_name: peft
    tags:
    - lora
    - unbraid
    ---
    """
  }

  /// Sentences as a list under a heading; nil for none.
  static func notes(_ notes: [String]) -> String? {
    notes.isEmpty ? nil : "## Notes\n\n" + notes.map { "- \($0)" }.joined(separator: "\n")
  }

  /// How PEFT loads the folder.
  static let loading = """
    ```python
    from peft import PeftModel
    model = PeftModel.from_pretrained(base_model, "path/to/this/folder")
    ```
    """

  static func percent(_ fraction: Double) -> String { String(format: "%.2f %%", 100 * fraction) }
  static func scientific(_ value: Double) -> String { String(format: "%.3e", value) }

  /// A YAML string in double quotes.
  private static func quoted(_ text: String) -> String {
    "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
  }
}
