internal import Glibc
internal import Synchronization

/// Memory of one large matrix kept for the next.
///
/// A job that reads one module after the other would otherwise have the system clear as many pages as it reads
/// bytes, a seventh of its time. One block is kept, the last that was given back unless a larger one is there.
enum RecycledMemory {
  /// A block of memory, which belongs to whoever holds this.
  struct Block: @unchecked Sendable {
    // Sendable because a block is either in the pool or with one matrix.
    let start: UnsafeMutableRawPointer
    let byteCount: Int
  }

  private static let kept = Mutex<Block?>(nil)

  /// At least so many bytes, aligned to a huge page; what they hold is undefined.
  static func take(byteCount: Int) -> Block {
    let block = kept.withLock { kept -> Block? in
      defer { kept = nil }
      return kept
    }
    // Much larger blocks would hold memory that nothing uses.
    if let block, block.byteCount >= byteCount, block.byteCount / 8 <= byteCount { return block }
    block?.start.deallocate()
    return Block(start: allocateLarge(byteCount: byteCount), byteCount: byteCount)
  }

  /// Takes a block back.
  static func give(_ block: Block) {
    let dropped = kept.withLock { kept -> Block? in
      guard let other = kept else {
        kept = block
        return nil
      }
      if other.byteCount < block.byteCount { kept = block }
      return other.byteCount < block.byteCount ? other : block
    }
    dropped?.start.deallocate()
  }
}

/// Memory in huge pages, where the system has them.
///
/// Products that walk down columns were a tenth faster with them.
func allocateLarge(byteCount: Int) -> UnsafeMutableRawPointer {
  let start = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: hugePageByteCount)
  madvise(start, byteCount, MADV_HUGEPAGE)
  return start
}

/// Bytes of a huge page.
let hugePageByteCount = 2 << 20
