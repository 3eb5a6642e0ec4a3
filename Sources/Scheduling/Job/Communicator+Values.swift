internal import Foundation
public import MPI

extension Communicator {
  /// Collective: lets rank 0 make a value, and hands it to all.
  public func shared<Value: Codable>(_ make: () throws -> Value) throws -> Value {
    let bytes = rank == 0 ? Array(try JSONEncoder().encode(make())) : []
    return try JSONDecoder().decode(Value.self, from: Data(try broadcast(bytes, root: 0)))
  }

  /// Collective: lets rank 0 see that nothing stands in a job's way, so that a refusal is said once.
  func checkOnce(_ check: () throws -> Void) throws {
    _ = try shared {
      try check()
      return true
    }
  }
}
