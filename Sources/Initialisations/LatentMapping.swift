/// The small trained matrix of LoRA-XS.
public enum LatentMapping {
  /// Its name in the adapter's file.
  ///
  /// The module is `<path>.default_lora_latent_mapping`; PEFT drops `.default` on saving, and the dot with it.
  public static func tensorName(ofModule path: String) -> String {
    "base_model.model.\(path)\(ending)"
  }

  /// What follows the module's path.
  public static let ending = "_lora_latent_mapping.weight"
}
