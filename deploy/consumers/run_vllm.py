"""Serves FOLDER/base in vLLM on this machine's processor without and with the adapter FOLDER/vllm.

python run_vllm.py FOLDER...

FOLDER/vllm.npz gets the logarithms of the next token's probabilities after 1 to 11 of the tokens 0 to 10. vLLM multiplies
experts on a GPU alone: of a model that has them it gets what vLLM holds for each expert of FOLDER/vllm, a product a name,
and, under names that begin with `fused`, of FOLDER/all if that is there, whose experts are one tensor.
"""
import gc
import json
import os
import sys
from pathlib import Path

os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind",
                  VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")
import numpy
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

VOCABULARY = 64


def engine(folder, rank):
    return LLM(model=str(folder / "base"), skip_tokenizer_init=True, dtype="float32", enforce_eager=True, max_model_len=32,
               max_num_seqs=4, max_logprobs=VOCABULARY, enable_prefix_caching=False, enable_lora=True, max_loras=1,
               max_lora_rank=rank, enable_mixed_moe_lora_format=(folder / "all").exists())


def next_tokens(model, adapter=None):
    settings = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=VOCABULARY, detokenize=False)
    prompt = {"prompt_token_ids": list(range(12))}
    answer = model.generate([prompt], settings, lora_request=adapter, use_tqdm=False)[0]
    found = numpy.full((11, VOCABULARY), numpy.nan)
    for place, tokens in enumerate(answer.prompt_logprobs[1:]):
        for token, entry in tokens.items():
            found[place, token] = entry.logprob
    return found


def expert_updates(network):
    """What a network holds in the first place for adapters: B A of gate, up and down, expert by expert, and of routers."""
    found = {}
    for name, module in network.named_modules():
        layer = next((part for part in name.split(".") if part.isdigit()), None)
        if name.endswith(".gate") and hasattr(module, "lora_a_stacked"):
            found[f"{layer}.router"] = (module.lora_b_stacked[0][0, 0] @ module.lora_a_stacked[0][0, 0]).numpy()
        if not hasattr(module, "w2_lora_a_stacked"):
            continue
        a = (*module.w13_lora_a_stacked, *module.w2_lora_a_stacked)
        b = (*module.w13_lora_b_stacked, *module.w2_lora_b_stacked)
        for part, left, right in zip(("gate", "up", "down"), b, a, strict=True):
            found[f"{layer}.{part}"] = (left[0].double() @ right[0].double()).numpy()
    return found


def held(model, adapter):
    model.llm_engine.add_lora(adapter)
    return model.apply_model(expert_updates)[0]


def main():
    for folder in map(Path, sys.argv[1:]):
        print(folder.name, file=sys.stderr)
        rank = json.loads((folder / "vllm/adapter_config.json").read_text())["r"]
        model = engine(folder, rank)
        adapter = LoRARequest("adapter", 1, str(folder / "vllm"))
        if not model.apply_model(expert_updates)[0]:
            found = {"before": next_tokens(model), "after": next_tokens(model, adapter)}
        else:
            found = held(model, adapter)
            if (folder / "all").exists():
                model.llm_engine.remove_lora(adapter.lora_int_id)
                fused = LoRARequest("fused", 2, str(folder / "all"), is_3d_lora_weight=True)
                found |= {f"fused {name}": update for name, update in held(model, fused).items()}
        numpy.savez(folder / "vllm.npz", **found)
        # An engine that ends later than the next begins takes its process groups along.
        del model
        gc.collect()


if __name__ == "__main__":
    main()
