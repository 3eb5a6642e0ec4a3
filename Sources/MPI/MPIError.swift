import CMPI

/// A call into MPI that did not succeed.
///
/// Reads as one sentence, for instance
/// `MPI_Allreduce failed: MPI_ERR_TRUNCATE: message truncated (communicator 'world', 5 ranks)`.
public struct MPIError: Error, CustomStringConvertible, Sendable {
  /// The function of the MPI standard that failed, for instance `MPI_Allreduce`.
  public let function: String

  /// What the function returned; its meaning is the MPI library's own.
  public let code: Int32

  /// What went wrong, in the words of `MPI_Error_string` where MPI has any.
  public let text: String

  /// The name of the communicator the call was made on; nil where there is none yet.
  public let communicatorName: String?

  /// How many ranks that communicator has; nil where there is none yet.
  public let rankCount: Int?

  /// The sentence that is shown to the user, without the program's name and the rank.
  public var description: String {
    let failure = "\(function) failed: \(text)"
    guard let communicatorName, let rankCount else { return failure }
    return "\(failure) (communicator '\(communicatorName)', \(rankCount) rank\(rankCount == 1 ? "" : "s"))"
  }

  init(function: String, code: Int32, text: String? = nil, label: CommunicatorLabel?) {
    self.function = function
    self.code = code
    self.text = text ?? Self.text(of: code)
    communicatorName = label?.name
    rankCount = label?.size
  }

  private static func text(of code: Int32) -> String {
    var characters = [CChar](repeating: 0, count: Int(cmpi_max_error_string()))
    var length: Int32 = 0
    guard MPI_Error_string(code, &characters, &length) == cmpi_success() else { return "code \(code)" }
    return String(decoding: characters.prefix(Int(length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
