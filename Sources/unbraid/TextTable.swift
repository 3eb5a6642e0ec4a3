/// Rows of text in columns for a terminal.
enum TextTable {
  /// Columns as wide as their widest cell.
  ///
  /// - Parameters:
  ///   - header: The first row.
  ///   - rows: As many cells each.
  ///   - textColumns: Columns aligned to the left; the others are numbers, to the right.
  /// - Returns: Lines without blanks at their ends.
  static func text(_ header: [String], _ rows: [[String]], textColumns: Set<String>) -> String {
    let widths = header.indices.map { column in
      ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    return ([header] + rows).map { row in
      let cells = row.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        return textColumns.contains(header[column]) ? row[column] + padding : padding + row[column]
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
