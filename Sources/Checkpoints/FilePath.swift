/// The last component of a path.
package func fileName(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

/// A path without slashes and dots that say nothing, so that one name has one spelling.
///
/// - Parameter path: As typed: `./model//` is `model`.
/// - Returns: The same place.
package func tidyPath(_ path: String) -> String {
  let parts = path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
  return path.hasPrefix("/") ? "/" + parts : parts.isEmpty ? "." : parts
}

/// The folder that a path's last component is in; "." for a bare name.
///
/// Not Foundation's, which traps on names of one character (Swift 6.3 on Linux).
package func parentFolder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
