import MPI
import Scheduling

/// Collective: takes the folder that a command makes.
///
/// - Parameters:
///   - path: As typed.
///   - world: All ranks.
///   - completed: Called on rank 0 if the folder is occupied: what to say of it if this very command has completed it
///     already, which a scheduler that starts it again need not know; nil if it holds anything else.
///   - body: Called on all ranks with rank 0's folder to fill, nil on the others; not called if there is nothing to do.
/// - Throws: `OutputError` on rank 0 if the folder cannot be taken, and what `body` throws.
func withOutput(
  _ path: String, on world: borrowing Communicator, completed: () -> String?,
  _ body: (OutputFolder?) throws -> Void
) throws {
  let folder = world.rank == 0 ? try takeOutput(path, completed) : nil
  guard try world.shared({ folder != nil }) else { return }
  try body(folder)
}

private func takeOutput(_ path: String, _ completed: () -> String?) throws -> OutputFolder? {
  do { return try OutputFolder(path: path) } catch let error as OutputError {
    guard case .occupied = error, let summary = completed() else { throw error }
    OutputFolder.removeRemains(of: path)
    print("\(path): is complete already: \(summary)")
    return nil
  }
}
