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
    return "  \(host): "
      + [
        "\(ranks.count) \(ranks.count == 1 ? "rank" : "ranks")", "\(sum(\.unitCount)) units",
        String(format: "%.2f GB read", Double(sum(\.bytesRead)) / 1e9),
        String(format: "%.1f MB sent", Double(sum(\.bytesSent)) / 1e6),
        "\(sum(\.stolenInsideNode)) stolen inside, \(sum(\.stolenBetweenNodes)) from other hosts",
        String(format: "waiting %.1f %%", 100 * waiting / max(waiting + computing, 1e-9)),
      ].joined(separator: ", ")
  }
}
