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
