import CMPI

/// What an error sentence says about a communicator; outlives calls that do not hold the communicator itself.
struct CommunicatorLabel {
  let name: String
  let size: Int

  /// Makes one MPI call and throws if it does not return success.
  ///
  /// Every call after `MPI_Init_thread` goes through here, so that no return code is lost.
  ///
  /// - Parameters:
  ///   - function: The name the error sentence starts with.
  ///   - call: The call; its value is the return code.
  /// - Throws: An `MPIError` with that code.
  func check(_ function: String, _ call: @autoclosure () -> Int32) throws(MPIError) {
    assert(Runtime.isOnMainThread, "\(function) called off the main thread; MPI runs as MPI_THREAD_FUNNELED")
    let code = call()
    guard code == cmpi_success() else { throw MPIError(function: function, code: code, label: self) }
  }
}
