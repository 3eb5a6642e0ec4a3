import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct ModelConfigurationTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ text: String) throws {
    try Data(text.utf8).write(to: URL(filePath: folder.file("config.json")))
  }

  @Test(
    "the language model's part says whether the head is tied, then the whole",
    arguments: [
      (#"{}"#, nil), (#"{"tie_word_embeddings":true}"#, true),
      (#"{"tie_word_embeddings":false,"text_config":{"tie_word_embeddings":true}}"#, true),
      (#"{"tie_word_embeddings":true,"text_config":{"tie_word_embeddings":null}}"#, true),
    ] as [(String, Bool?)])
  func tied(text: String, expected: Bool?) throws {
    try write(text)
    #expect(try ModelConfiguration.read(modelPath: folder.path)?.tiesWordEmbeddings == expected)
  }

  @Test(
    "an untied configuration says so wherever a reader looks, and keeps the rest",
    arguments: [
      #"{}"#, #"{"model_type": "gpt2"}"#, #"{"tie_word_embeddings" : true, "a": [1]}"#,
      #"{"text_config": {"b": 2}, "tie_word_embeddings": null}"#,
      #"{"a": 1, "text_config" : {}}"#, #"{"text_config": {"tie_word_embeddings": true}}"#,
    ])
  func untied(text: String) throws {
    try write(text)
    let data = try #require(try ModelConfiguration.untied(modelPath: folder.path))
    func object(_ data: Data) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }
    var (old, new) = (try object(Data(text.utf8)), try object(data))
    #expect(new["tie_word_embeddings"] as? Bool == false)
    if var part = new["text_config"] as? [String: Any] {
      #expect(part["tie_word_embeddings"] as? Bool == false)
      part["tie_word_embeddings"] = nil
      new["text_config"] = part
    }
    if var part = old["text_config"] as? [String: Any] {
      part["tie_word_embeddings"] = nil
      old["text_config"] = part
    }
    (old["tie_word_embeddings"], new["tie_word_embeddings"]) = (nil, nil)
    #expect(NSDictionary(dictionary: new) == NSDictionary(dictionary: old))
  }
}
