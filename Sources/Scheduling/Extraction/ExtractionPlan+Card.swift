internal import Adapters
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

extension ExtractionPlan {
  /// The model card of the adapter that was made from this plan.
  func card(modules: [ModuleRecord], leftOut: [LeftOutRecord], stored: [String]) -> ModelCard {
    ModelCard(
      baseModel: request.baseName, tunedModel: request.tunedPath, options: optionRows, modules: modules,
      leftOut: leftOut, stored: stored, notes: notes)
  }
}
