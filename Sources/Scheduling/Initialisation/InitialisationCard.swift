internal import Adapters
internal import Initialisations

/// The `README.md` of an initialisation: what it is, and how it is trained and turned back.
struct InitialisationCard {
  private let plan: InitialisationPlan
  /// Where the folder will be.
  private let path: String

  init(_ plan: InitialisationPlan, path: String) {
    self.plan = plan
    self.path = path
  }

  var markdown: String {
    let options = plan.optionRows.map { "`\($0.name) \($0.value)`" }.joined(separator: ", ")
    return """
      # \(title) of `\(plan.request.modelPath)`

      \(text)

      Options: \(options). `\(InitialisationRecord.fileName)` lists every module.

      """
  }

  private var title: String {
    switch plan.request.method {
    case .pissa: "PiSSA"
    case .milora: "MiLoRA"
    case .olora: "OLoRA"
    case .corda: "CorDA"
    case .loraXS: "LoRA-XS"
    case .svdTraining: "svd-training"
    }
  }

  private var text: String {
    switch plan.request.method {
    case .loraXS:
      """
      `adapter` holds the frozen factors A = ΣVᵀ and B = U and the trained r × r matrices R under LoRA-XS's names. Load \
      it with LoRA-XS's code: PEFT alone would leave R out and add B·A itself. After training:

          unbraid convert TRAINED \(path) -o adapter
      """
    case .svdTraining:
      """
      `\(SVDTraining.fileName)` holds U, sigma, V and the residual `weight` of \(plan.modules.count) modules, and all \
      other tensors. It is no model: read as one, the residuals would pass for the weights. Train `*.sigma` with the \
      svd-training package, save the state as safetensors, and then:

          unbraid convert TRAINED.safetensors \(path) -o model
      """
    default:
      """
      This folder is the residual model: without the adapter it is not the model it was made from.

      ```python
      from peft import PeftModel
      from transformers import AutoModelForCausalLM
      model = AutoModelForCausalLM.from_pretrained("\(path)")
      model = PeftModel.from_pretrained(model, "\(path)/adapter", is_trainable=True)
      ```

      Keep `adapter` as it is: together with the trained adapter it gives a plain LoRA adapter of the original model,

          unbraid convert TRAINED \(path) -o adapter
      """
    }
  }
}
