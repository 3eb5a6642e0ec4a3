import Adapters
import Testing

@Suite struct TargetModulesTests {
  @Test("a leaf name stands for modules that are all adapted")
  func leaves() {
    let all = ["m.layers.0.q_proj", "m.layers.1.q_proj", "m.norm", "lm_head"]
    let names = TargetModules(adapted: ["m.layers.0.q_proj", "m.layers.1.q_proj"], all: all)
    #expect(names.targets == ["q_proj"])
    #expect(names.exclusions.isEmpty)
  }

  @Test("full paths where a module of that name is not adapted")
  func fullPaths() {
    let all = ["m.layers.0.q_proj", "m.layers.1.q_proj"]
    #expect(TargetModules(adapted: ["m.layers.1.q_proj"], all: all).targets == ["m.layers.1.q_proj"])
  }

  @Test("a path whose tail is a target is excluded, a container of that name forces full paths")
  func collisions() {
    let tower = TargetModules(adapted: ["m.l.0.q"], all: ["m.l.0.q", "vision.m.l.0.q"])
    #expect(tower.targets == ["m.l.0.q"] && tower.exclusions == ["vision.m.l.0.q"])
    let container = TargetModules(adapted: ["m.output"], all: ["m.output", "m.0.output.dense"])
    #expect(container.targets == ["m.output"])
  }
}
