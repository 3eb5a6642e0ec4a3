import Foundation
import TestSupport
import Testing

extension TroubleSuite {
  @Suite struct UsageTests {
    @Test(
      "a wrong command line is refused with 64 before anything is read",
      arguments: [
        (["--rank", "0"], "--rank is 0; give a number of 1 or more"),
        (["--rank=-3"], "--rank is -3; give a number of 1 or more"),
        (["--rank", "abc"], "The value 'abc' is invalid for '--rank <rank>'"),
        (["--rank", "4", "--rank-fraction", "0.5"], "give --rank or --rank-fraction, not both"),
        (["--rank-fraction", "1.5"], "--rank-fraction is 1.5; give a number above 0 and at most 1"),
        (["--rank-fraction", "nan"], "--rank-fraction is nan; give a number above 0 and at most 1"),
        (["--tolerance", "0"], "--tolerance is 0.0; give a number between 0 and 1, such as 1e-3"),
        (["tuned-again"], "Unexpected argument 'tuned-again'"),
        (["--frobnicate"], "Unknown option '--frobnicate'"),
        (
          ["--method", "power"],
          "The value 'power' is invalid for '--method <method>'. Please provide one of the following:"
        ),
      ])
    func commandLine(options: [String], sentence: String) throws {
      let result = try Workspace.run(["extract", "nowhere", "nowhere", "-o", "nowhere-out"] + options)
      #expect(result.status == 64)
      #expect(result.output.isEmpty)
      #expect(result.errorOutput.hasPrefix("Error: \(sentence)\n"), "\(result.errorOutput)")
      #expect(result.errorOutput.contains("\nUsage: unbraid extract "))
      #expect(!FileManager.default.fileExists(atPath: "nowhere-out.partial"))
    }

    @Test("a negative rank is named also where it follows a space")
    func negativeRank() throws {
      let result = try Workspace.run(["extract", "a", "b", "-o", "c", "--rank", "-3"])
      #expect(result.status == 64)
      #expect(result.errorOutput.hasPrefix("Error: --rank is -3; give a number of 1 or more\n"))
    }

    @Test(
      "an option that does not fit these models is refused with 64",
      arguments: [
        (["--include", "zzz"], "--include 'zzz' matches none of the 6 modules (such as 'lm_head')"),
        (["--exclude", "zzz"], "--exclude 'zzz' matches none of the 6 modules (such as 'lm_head')"),
        (["--targets", "up_proj,foo"], "--targets 'foo' matches none of the 6 modules (such as 'lm_head')"),
        (["--targets", "proj"], "--targets 'proj' matches none of the 6 modules (such as 'lm_head')"),
        (
          ["--include", "[a"],
          "--include '[a' is no regular expression: expected ']'"
        ),
        (
          ["--include", "q_proj", "--exclude", "proj"],
          "--targets, --include and --exclude together leave none of the 6 modules"
        ),
        (
          ["--bias", "--embeddings"],
          "module '\(Name.embedding)': PEFT knows no bias on an embedding's adapter; leave out --bias or "
            + "that module"
        ),
      ])
    func selection(options: [String], sentence: String) throws {
      try Workspace().expectRefusal(sentence, status: 64, options)
    }

    @Test("a head or an embedding that the model does not have is refused")
    func noHead() throws {
      var pair = ModelPair.small()
      for name in ["lm_head.weight", Name.embedding + ".weight"] {
        pair.base.remove(name)
        pair.tuned.remove(name)
      }
      let workspace = try Workspace(pair)
      try workspace.expectRefusal(
        "{tuned}: --head was given, but there is no output head among the tensors", status: 64, ["--head"])
      try workspace.expectRefusal(
        "{tuned}: --embeddings was given, but there is no embedding among the tensors", status: 64,
        ["--embeddings"])
    }

    @Test("a rank above the shorter side is clamped, and said on standard error and in the card")
    func clampedRank() throws {
      let workspace = try Workspace()
      let result = try workspace.extract(["--rank", "20"])
      #expect(result.status == 0)
      let note =
        "rank 20 exceeds the shorter side of 2 of 4 modules (such as '\(Name.query)', [24, 16]), whose rank is "
        + "that side's length"
      #expect(result.errorOutput == "unbraid: note: \(note)\n")
      let adapter = try AdapterFolder(workspace.outputPath)
      #expect(try adapter.text("README.md").contains("- \(note)\n"))
      #expect(adapter[Name.query].requestedRank == 16)
      #expect(adapter[Name.up].requestedRank == 20)
    }

    @Test("under mpirun the message appears once, for the command line and for the data")
    func underMPI() throws {
      let workspace = try Workspace()
      let wrong = try workspace.extract(["--include", "zzz"], ranks: 2)
      #expect(wrong.status == 64)
      #expect(
        wrong.sentences == [
          "unbraid: rank 0: --include 'zzz' matches none of the 6 modules (such as 'lm_head')"
        ])
      for _ in 0..<5 {
        let result = try workspace.extract(["--rank", "0"], ranks: 4)
        #expect(result.status == 64)
        #expect(result.sentences == ["Error: --rank is 0; give a number of 1 or more"])
      }
      #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("out") })
    }

    @Test(
      "help and version end with 0",
      arguments: [
        (["--help"], "mpirun -n 4 unbraid extract BASE TUNED -o adapter --rank 32"),
        (["--version"], "0.1.0"),
      ])
    func help(arguments: [String], text: String) throws {
      let result = try Workspace.run(arguments)
      #expect(result.status == 0)
      #expect(result.output.contains(text))
      #expect(result.errorOutput.isEmpty)
    }

    private static let commands = [
      "adapter", "compare", "components", "convert", "decompose", "export", "extract", "graft", "init",
      "joint",
      "merge", "overlap", "plan", "resize", "scan", "sweep", "verify",
    ]

    @Test("the overview names every command")
    func overview() throws {
      let lines = try Workspace.run(["--help"]).output.split(separator: "\n")
      let listed = lines.drop { !$0.hasSuffix("SUBCOMMANDS:") }.compactMap {
        $0.prefixMatch(of: #/  ([a-z]+)  /#).map { String($0.1) }
      }
      #expect(listed.sorted() == Self.commands)
    }

    @Test("each command's help ends with 0 and has examples, whose options it lists", arguments: commands)
    func examples(of command: String) throws {
      let result = try Workspace.run([command, "--help"])
      #expect(result.status == 0 && result.errorOutput.isEmpty)
      let words = result.output.split { $0.isWhitespace }
      let usage = try #require(words.firstIndex(of: "USAGE:"))
      let begin = try #require(words[..<usage].firstIndex { $0.hasPrefix("Example") })
      // What comes before the program's name is mpirun's.
      let examples = words[begin..<usage].split { $0.hasPrefix("Example") }.compactMap { example in
        example.firstIndex(of: "unbraid").map { example[($0 + 1)...] }
      }
      #expect(!examples.isEmpty && examples.allSatisfy { $0.first == command[...] }, "\(examples)")
      let listed = Set(words[usage...].map { $0.trimmingCharacters(in: ["[", "]", ","]) })
      for option in examples.joined() where option.hasPrefix("-") { #expect(listed.contains(String(option))) }
    }

    @Test("help under mpirun appears once")
    func helpUnderMPI() throws {
      let result = try Workspace.run(["--help"], ranks: 2)
      #expect(result.status == 0)
      #expect(result.output.ranges(of: "OVERVIEW").count == 1)
    }
  }
}
