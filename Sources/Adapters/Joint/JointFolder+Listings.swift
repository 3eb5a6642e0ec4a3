extension JointFolder {
  /// The components of groups.
  ///
  /// - Parameter groups: Names or short names; all groups if there are none.
  /// - Returns: In the order of the record's groups.
  /// - Throws: `ComponentError.unknownGroup`, `JointFolderError` or `CheckpointError` for damaged tensors.
  public func listings(groups: [String] = []) throws -> [ComponentListing] {
    let named = NamedComponents(record)
    let wanted = try named.groups(groups)
    return try record.groups.indices.filter(wanted.contains).map { index in
      ComponentListing(
        try GroupTensors(record.groups[index], of: self), shortName: named.names.short[index])
    }
  }
}
