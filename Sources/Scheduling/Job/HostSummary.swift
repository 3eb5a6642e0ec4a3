internal import Foundation

/// What each machine of a job did, one line a machine.
public enum HostSummary {
  /// The lines, in the order of the machines' first ranks; none for a job on one machine.
  public static func lines(_ ranks: [RankStatistics]) -> [String] {
    var hosts: [String] = []
    for rank in ranks where !hosts.contains(rank.host) { hosts.append(rank.host) }
    guard hosts.count > 1 else { return [] }
    return hosts.map { host in line(host, ranks.filter { $0.host == host }) }
  }

  private static func line(_ host: String, _ ranks: [RankStatistics]) -> String {
    func sum(_ value: (RankStatistics) -> Int) -> Int { ranks.reduce(0) { $0 + value($1) } }
    let waiting = ranks.reduce(0) { $0 + $1.waitingSeconds }
    let computing = ranks.reduce(0) { $0 + $1.computingSeconds }
    let parts = sum(\.sharedCount)
    var words = [
      "\(ranks.count) \(ranks.count == 1 ? "rank" : "ranks")",
      "\(sum(\.unitCount) - parts) units" + (parts > 0 ? " and \(parts) parts of shared ones" : ""),
      String(format: "%.2f GB read", Double(sum(\.bytesRead)) / 1e9),
    ]
    if ranks.allSatisfy({ $0.bytesSent != nil }) {
      words.append(String(format: "%.1f MB sent", Double(sum { $0.bytesSent ?? 0 }) / 1e6))
    }
    words += [
      "\(sum(\.stolenInsideNode)) stolen inside, \(sum(\.stolenBetweenNodes)) from other hosts",
      String(format: "waiting %.1f %%", 100 * waiting / max(waiting + computing, 1e-9)),
    ]
    return "  \(host): " + words.joined(separator: ", ")
  }
}
