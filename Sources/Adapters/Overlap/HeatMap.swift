internal import Foundation

/// Numbers from 0 to 1 by layer and module type, as a picture: SVG that every browser shows.
public struct HeatMap: Sendable {
  /// What stands above it.
  public var title: String
  /// A line below the title.
  public var subtitle: String
  /// What the scale counts.
  public var legend: String
  /// One panel a measure, side by side.
  public var panels: [Panel]

  /// One field of cells.
  public struct Panel: Sendable {
    /// What its cells show.
    public var title: String
    /// Values by module path.
    public var values: [String: Double]

    /// A panel of values.
    public init(title: String, values: [String: Double]) {
      self.title = title
      self.values = values
    }
  }

  /// A picture of panels over the same modules.
  public init(title: String, subtitle: String, legend: String, panels: [Panel]) {
    self.title = title
    self.subtitle = subtitle
    self.legend = legend
    self.panels = panels
  }

  /// The picture.
  public var svg: String {
    let grid = HeatMapGrid(modules: Array(Set(panels.flatMap(\.values.keys))))
    let panelWidth = grid.labelWidth + grid.columns.count * cellWidth + 24
    let width = max(panels.count * panelWidth, 460) + 2 * margin
    let top = margin + 100 + grid.headerHeight
    let bottom = top + grid.rows.count * cellHeight
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(bottom + 90)\" "
        + "viewBox=\"0 0 \(width) \(bottom + 90)\" font-family=\"sans-serif\" font-size=\"11\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
      text(margin, margin + 16, title, "font-size=\"16\" font-weight=\"bold\""),
      text(margin, margin + 36, subtitle, "fill=\"#444\""),
    ]
    let largest = panels.flatMap(\.values.values).max() ?? 0
    let scale = scaleSteps.first { $0 >= largest } ?? 1
    for (index, panel) in panels.enumerated() {
      lines += draw(panel, grid, x: margin + index * panelWidth, top: top, scale: scale)
    }
    lines += legend(x: margin + grid.labelWidth, y: bottom + 34, scale: scale)
    return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
  }

  private func draw(_ panel: Panel, _ grid: HeatMapGrid, x: Int, top: Int, scale: Double) -> [String] {
    let left = x + grid.labelWidth
    var lines = [text(left, top - grid.headerHeight - 14, panel.title, "font-weight=\"bold\"")]
    lines.append(text(left - 6, top - 6, "layer", "text-anchor=\"end\" fill=\"#444\""))
    for (column, name) in grid.columns.enumerated() {
      let place = left + column * cellWidth + cellWidth / 2
      lines.append(
        text(place, top - 6, name, "text-anchor=\"start\" transform=\"rotate(-50 \(place) \(top - 6))\""))
    }
    for (row, name) in grid.rows.enumerated() {
      let y = top + row * cellHeight
      lines.append(text(left - 6, y + 13, name, "text-anchor=\"end\""))
      for column in grid.columns.indices {
        guard let module = grid.module(row: row, column: column), let value = panel.values[module] else {
          continue
        }
        lines += cell(left + column * cellWidth, y, value, scale: scale, module: module)
      }
    }
    return lines
  }

  private func cell(_ x: Int, _ y: Int, _ value: Double, scale: Double, module: String) -> [String] {
    let part = value / scale
    return [
      "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(cellWidth - 1)\" height=\"\(cellHeight - 1)\" "
        + "fill=\"\(colour(part))\"><title>\(escaped(module)): \(String(format: "%.4f", value))</title></rect>",
      text(
        x + cellWidth / 2, y + 13, String(format: "%.2f", value),
        "text-anchor=\"middle\" font-size=\"10\" fill=\"\(part > 0.55 ? "white" : "#222")\""),
    ]
  }

  private func legend(x: Int, y: Int, scale: Double) -> [String] {
    let count = 40
    let steps = (0..<count).map { step in
      "<rect x=\"\(x + step * 5)\" y=\"\(y)\" width=\"5\" height=\"12\" "
        + "fill=\"\(colour((Double(step) + 0.5) / Double(count)))\"/>"
    }
    return steps + [text(x + 212, y + 10, legend, "fill=\"#444\"")]
      + [0, 0.5, 1].map { part in
        text(
          x + Int(part * 200), y + 26, String(format: "%g", part * scale), "text-anchor=\"middle\"")
      }
  }
}

/// Rows and columns of a heat map: layers and module types.
struct HeatMapGrid {
  let rows: [String]
  let columns: [String]
  private let modules: [String: String]

  init(modules: [String]) {
    let places = modules.map { ($0, ModulePath($0)) }
    // Modules outside of the layers have one row for all.
    let layers = Set(places.map { $0.1.layer ?? -1 }).sorted()
    rows = layers.map { $0 < 0 ? "outside" : "\($0)" }
    columns = Set(places.map(\.1.rest)).sorted()
    self.modules = Dictionary(
      places.map { ("\($0.1.layer.map(String.init) ?? "outside")\t\($0.1.rest)", $0.0) },
      uniquingKeysWith: { first, _ in first })
  }

  func module(row: Int, column: Int) -> String? { modules["\(rows[row])\t\(columns[column])"] }

  /// Room for the names of rows.
  var labelWidth: Int { 14 + 7 * max(5, rows.map(\.count).max() ?? 0) }
  /// Room for the names of columns, which are turned.
  var headerHeight: Int { 14 + 5 * (columns.map(\.count).max() ?? 0) }
}

private let margin = 16
private let cellWidth = 44
private let cellHeight = 18

/// Where the scale may end: the first that holds all values.
private let scaleSteps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]

/// White to dark blue, evenly darker.
private func colour(_ part: Double) -> String {
  let part = min(1, max(0, part))
  let ends: [(Double, Double)] = [(247, 8), (251, 48), (255, 107)]
  return "#" + ends.map { String(format: "%02x", Int(($0.0 + ($0.1 - $0.0) * part).rounded())) }.joined()
}

private func text(_ x: Int, _ y: Int, _ content: String, _ attributes: String) -> String {
  "<text x=\"\(x)\" y=\"\(y)\" \(attributes)>\(escaped(content))</text>"
}

private func escaped(_ text: String) -> String {
  text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    .replacing("\"", with: "&quot;")
}
