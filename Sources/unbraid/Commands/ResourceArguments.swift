import ArgumentParser
import LinearAlgebra
import MPI
import Scheduling

/// What a job may take of its machines, as typed.
struct ResourceArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Threads a rank (default: the cores a rank may use, divided by the ranks of its machine).",
      discussion: "The results do not depend on it."))
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "Memory a rank may use, such as 4G or 900M (default: an even share of what is available).",
      discussion:
        "Where one module needs more, extract, decompose and verify share it among ranks, others refuse."))
  var memoryPerRank: ByteCount?

  @Flag(help: "Rank 0 computes nothing: it gathers and writes, for a head node that should stay free.")
  var headCoordinates = false

  func validate() throws {
    if let threads, threads < 1 {
      throw ValidationError("--threads is \(threads); give a number of 1 or more")
    }
  }

  /// Sees that a method can do with these resources.
  func validate(with method: DecompositionMethod) throws {
    if headCoordinates && method.isCollective {
      throw ValidationError(
        "--head-coordinates leaves rank 0 out, and --method \(method.rawValue) takes all ranks; give one of them"
      )
    }
  }

  /// Collective: the resources of this job, about which rank 0 says what a person should know before it begins.
  ///
  /// - Parameters:
  ///   - world: All ranks.
  ///   - notes: What there is to say of the job itself.
  /// - Returns: The same on every rank, but for the number of threads.
  /// - Throws: What `JobResources` does.
  func announcedResources(on world: borrowing Communicator, notes: [String] = []) throws -> JobResources {
    let resources = try resources(on: world)
    if world.rank == 0 {
      for notice in resources.notices + notes { Messages.printNotice("note: \(notice)") }
    }
    return resources
  }

  /// Collective: the resources of this job.
  func resources(on world: borrowing Communicator) throws -> JobResources {
    try JobResources(
      on: world, threads: threads, memory: memoryPerRank?.count, headCoordinates: headCoordinates)
  }
}

/// A number of bytes with an optional unit: 4G, 900M, 512K or plain, in powers of 1024.
struct ByteCount: ExpressibleByArgument {
  let count: Int

  init(_ count: Int) { self.count = count }

  /// In the largest unit of which it is a whole number.
  var defaultValueDescription: String {
    let unit = [("G", 30), ("M", 20), ("K", 10)].first { count > 0 && count % (1 << $0.1) == 0 }
    return unit.map { "\(count >> $0.1)\($0.0)" } ?? "\(count)"
  }

  init?(argument: String) {
    let units: [Character: Double] = ["K": 0x1p10, "M": 0x1p20, "G": 0x1p30, "T": 0x1p40]
    let unit = argument.uppercased().last.flatMap { units[$0] }
    guard let number = Double(unit == nil ? argument : String(argument.dropLast())), number > 0 else {
      return nil
    }
    let bytes = number * (unit ?? 1)
    guard bytes < 0x1p60 else { return nil }
    count = Int(bytes)
  }
}
