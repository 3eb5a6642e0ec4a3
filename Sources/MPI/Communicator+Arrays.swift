import CMPI

/// An element type that MPI can add up.
package protocol MPINumber: BitwiseCopyable, AdditiveArithmetic {
  /// MPI's name of the type, as an index into what the bindings know.
  static var mpiNumberKind: MPINumberKind { get }
}

/// The element types of `MPINumber`.
package enum MPINumberKind {
  case float, double

  var handle: MPI_Datatype? { self == .float ? cmpi_float() : cmpi_double() }
}

extension Float: MPINumber {
  package static var mpiNumberKind: MPINumberKind { .float }
}

extension Double: MPINumber {
  package static var mpiNumberKind: MPINumberKind { .double }
}

extension Communicator {
  /// Collective: combines the ranks' buffers element by element, in their place.
  ///
  /// For matrices, which are too large to be copied for a call.
  ///
  /// - Parameters:
  ///   - values: As many on every rank, which MPI does not check; the same on every rank afterwards.
  ///   - reduction: What is made of the values at one index.
  /// - Throws: An `MPIError` if MPI reports one.
  package func allReduce<Number: MPINumber>(
    inPlace values: UnsafeMutableBufferPointer<Number>, _ reduction: Reduction
  ) throws(MPIError) {
    let partLength = max(1, partByteCount / MemoryLayout<Number>.stride)
    for part in MessageCount.parts(of: values.indices, partLength: partLength) {
      let count = try MessageCount.checked(part.count, function: "MPI_Allreduce", label: label)
      try label.check(
        "MPI_Allreduce",
        MPI_Allreduce(
          cmpi_in_place(), values.baseAddress?.advanced(by: part.lowerBound), count,
          Number.mpiNumberKind.handle, reduction.handle, handle))
    }
  }

  /// The communicator as Fortran knows it, for libraries written in Fortran; they must not free it.
  package var fortranHandle: Int32 { MPI_Comm_c2f(handle) }
}

extension Communicator {
  /// Sends a buffer and returns once it may be changed; the other rank receives it with `receive(into:from:tag:)`.
  ///
  /// For exchanges whose order all ranks know beforehand, since it may wait for the receiver.
  ///
  /// - Parameters:
  ///   - values: As many as the receiver expects.
  ///   - destination: The receiving rank, not this one.
  ///   - tag: 0 to 32767.
  /// - Throws: An `MPIError` if MPI reports one.
  package func send<Number: MPINumber>(
    _ values: UnsafeMutableBufferPointer<Number>, to destination: Int, tag: Int
  ) throws(MPIError) {
    try forEachPart(of: values, "MPI_Send") { part, count throws(MPIError) in
      MPI_Send(
        part, count, Number.mpiNumberKind.handle,
        try MessageCount.checked(destination, function: "MPI_Send", label: label), Int32(tag), handle)
    }
  }

  /// Waits for what another rank sends with `send(_:to:tag:)` and fills a buffer with it.
  ///
  /// - Parameters:
  ///   - values: As many as are sent.
  ///   - source: The sending rank, not this one.
  ///   - tag: The sender's.
  /// - Throws: An `MPIError` if MPI reports one.
  package func receive<Number: MPINumber>(
    into values: UnsafeMutableBufferPointer<Number>, from source: Int, tag: Int
  ) throws(MPIError) {
    try forEachPart(of: values, "MPI_Recv") { part, count throws(MPIError) in
      MPI_Recv(
        part, count, Number.mpiNumberKind.handle,
        try MessageCount.checked(source, function: "MPI_Recv", label: label), Int32(tag), handle,
        cmpi_status_ignore())
    }
  }

  /// Collective: gives every rank the numbers of one of them, in their place.
  ///
  /// - Parameters:
  ///   - values: As many on every rank, which MPI does not check.
  ///   - root: The rank whose numbers they become, the same on every rank.
  /// - Throws: An `MPIError` if MPI reports one.
  package func broadcast<Number: MPINumber>(inPlace values: UnsafeMutableBufferPointer<Number>, root: Int)
    throws(MPIError)
  {
    try forEachPart(of: values, "MPI_Bcast") { part, count throws(MPIError) in
      MPI_Bcast(
        part, count, Number.mpiNumberKind.handle,
        try MessageCount.checked(root, function: "MPI_Bcast", label: label), handle)
    }
  }

  /// Makes one MPI call for each part of a buffer that is short enough for one.
  private func forEachPart<Number: MPINumber>(
    of values: UnsafeMutableBufferPointer<Number>, _ function: String,
    _ call: (UnsafeMutablePointer<Number>?, Int32) throws(MPIError) -> Int32
  ) throws(MPIError) {
    let partLength = max(1, partByteCount / MemoryLayout<Number>.stride)
    for part in MessageCount.parts(of: values.indices, partLength: partLength) {
      let count = try MessageCount.checked(part.count, function: function, label: label)
      let code = try call(values.baseAddress?.advanced(by: part.lowerBound), count)
      try label.check(function, code)
    }
  }
}
