/// The last component of a path.
func fileName(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

/// The folder that a path's last component is in; "." for a bare name.
///
/// Not Foundation's, which traps on names of one character (Swift 6.3 on Linux).
package func parentFolder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
