import Adapters
import Testing

@Suite struct TripletNumbersTests {
  @Test(
    "texts are read, and equal sets have equal texts",
    arguments: [
      ("0", "0"), ("0-3", "0-3"), ("3,0-1,2", "0-3"), ("0-3, 7", "0-3,7"), ("8-", "8-"), ("0-4,2-", "all"),
      ("all", "all"), ("none", "none"), ("5-5", "5"),
    ])
  func texts(text: String, canonical: String) throws {
    #expect(try #require(TripletNumbers(text)).text == canonical)
  }

  @Test(
    "other texts are refused", arguments: ["", "a", "3-1", "-2", "1,,2", "0..3", "1 000-x", "9999999999"])
  func refused(text: String) { #expect(TripletNumbers(text) == nil) }

  @Test("a number is among them or not")
  func contents() throws {
    let numbers = try #require(TripletNumbers("1-2,5,9-"))
    #expect((0..<12).filter(numbers.contains) == [1, 2, 5, 9, 10, 11])
    #expect(numbers.largestNamed == 9)
    #expect(TripletNumbers.none.largestNamed == nil)
  }
}
