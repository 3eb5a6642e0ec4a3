import Adapters
import LinearAlgebra
import Testing

@Suite struct ComponentBlocksTests {
  @Test(
    "directions are one block where an error of the given size turns them by more than a tenth of a radian")
  func directions() {
    // √(v·(λ₁ + λ₂)) / (λ₁ − λ₂) with v = 1e-4: 0.057 for 4 and 3.5; 0.137 for 4 and 3.8.
    #expect(ComponentBlocks(directions: [4, 3.5], errorVariance: 1e-4).first == [0, 1])
    #expect(ComponentBlocks(directions: [4, 3.8], errorVariance: 1e-4).first == [0, 0])
    #expect(ComponentBlocks(directions: [4, 3.8], errorVariance: 1e-5).first == [0, 1])
    #expect(
      ComponentBlocks(directions: [9, 4, 4, 4, 1, 0, 0], errorVariance: 0).first == [0, 1, 1, 1, 4, 5, 5])
  }

  @Test("rank-one components are one block where they agree in all modes but two")
  func components() {
    func columns(_ angles: [Float]) -> SharedMatrix<Float> {
      SharedMatrix(Matrix(angles.map { 1 - $0 * $0 / 2 } + angles, rows: 2, columns: angles.count))
    }
    let (apart, near) = (columns([0, 0.5, 1]), columns([0, 0.5, 0.05]))
    #expect(ComponentBlocks(components: [apart, apart, apart]).first == [0, 1, 2])
    #expect(ComponentBlocks(components: [near, apart, apart]).first == [0, 1, 0])
    #expect(ComponentBlocks(components: [near, apart, apart, apart]).first == [0, 1, 2])
    #expect(ComponentBlocks(components: [near, near, apart, apart]).first == [0, 1, 0])
  }
}
