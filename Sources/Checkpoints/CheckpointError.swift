internal import Glibc

/// Why a checkpoint cannot be read or a file not be written.
public enum CheckpointError: Error, CustomStringConvertible, Equatable, Sendable {
  /// There is nothing under the path.
  case notFound(path: String)
  /// The path is neither a folder nor a safetensors file.
  case notACheckpoint(path: String)
  /// The folder holds no file at all.
  case emptyFolder(path: String)
  /// The folder holds no weights.
  case noWeights(path: String, entryCount: Int)
  /// The folder holds weights in PyTorch's pickled format only.
  case pickledOnly(path: String, example: String)
  /// Several safetensors files and no index that says which belong together.
  case noIndex(path: String, files: [String])
  /// Something in a file is not JSON as it must be.
  case malformedJSON(path: String, position: Int, problem: String)
  /// A header that breaks a rule of the format.
  case malformedHeader(path: String, problem: String)
  /// A tensor's entry that breaks a rule of the format.
  case malformedTensor(path: String, tensor: String, problem: String)
  /// An index that does not fit its shards.
  case inconsistentIndex(path: String, problem: String)
  /// A file ended before a tensor that its header places there.
  case shrunk(path: String, tensor: String, neededSize: Int, size: Int)
  /// A tensor was written with a shape or size that its slot does not have.
  case slotMismatch(path: String, tensor: String, problem: String)
  /// The system refused an operation on a file.
  case system(path: String, operation: String, errorNumber: Int32)

  /// Whether the input is at fault, or the machine.
  public enum Kind: Sendable {
    /// The data or the path that was given.
    case badInput
    /// A file could not be written, or a device failed.
    case system
  }

  /// Whether the input is at fault, or the machine.
  public var kind: Kind {
    switch self {
    case .system, .slotMismatch: .system
    default: .badInput
    }
  }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .notFound(let path): "\(path): no such file or folder"
    case .notACheckpoint(let path): "\(path): is neither a folder nor a .safetensors file"
    case .emptyFolder(let path): "\(path): the folder is empty; give one with model.safetensors"
    case .noWeights(let path, let count):
      "\(path): none of the \(count) \(count == 1 ? "entry" : "entries") is a .safetensors file; "
        + "give a folder with model.safetensors"
    case .pickledOnly(let path, let example):
      "\(path): holds '\(example)' but no safetensors; convert it with Transformers: "
        + "AutoModel.from_pretrained(folder).save_pretrained(new_folder, safe_serialization=True)"
    case .noIndex(let path, let files):
      "\(path): \(files.count) safetensors files (\(files.prefix(3).joined(separator: ", "))"
        + "\(files.count > 3 ? ", …" : "")) and no model.safetensors.index.json; give one of the files"
    case .malformedJSON(let path, let position, let problem): "\(path): byte \(position): \(problem)"
    case .malformedHeader(let path, let problem): "\(path): \(problem)"
    case .malformedTensor(let path, let tensor, let problem): "\(path): tensor '\(tensor)' \(problem)"
    case .inconsistentIndex(let path, let problem): "\(path): \(problem)"
    case .shrunk(let path, let tensor, let needed, let size):
      "\(path): tensor '\(tensor)' ends at byte \(needed), but the file has \(size) bytes now; it was changed or "
        + "cut while it was read"
    case .slotMismatch(let path, let tensor, let problem): "\(path): tensor '\(tensor)' \(problem)"
    case .system(let path, let operation, let number):
      "\(path): cannot \(operation): \(String(cString: strerror(number)))"
    }
  }
}
