"""Holds `unbraid merge`, `resize`, `graft` and `verify` against PEFT on adapters that PEFT itself has saved."""
import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import (AutoModel, AutoModelForCausalLM, BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, Qwen2Config,
                          Qwen2ForCausalLM)

from support import load, logits, require, tiny_llama, unbraid

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, tie_word_embeddings=False)


def small_llama(**changes):
    return tiny_llama(num_hidden_layers=2, **changes)


def qwen2():
    return Qwen2ForCausalLM(Qwen2Config(**SIZES))


def gpt2():
    return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=32))


def bert():
    return BertModel(BertConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=64))


def train(base, folder, seed=1, **settings):
    """An adapter with random weights of all its parameters, saved by PEFT."""
    torch.manual_seed(seed)
    model = get_peft_model(base, LoraConfig(**{"r": 4, "lora_alpha": 6, **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


def fresh(make, folder, dtype=torch.float32):
    torch.manual_seed(0)
    base = make().to(dtype)
    base.save_pretrained(folder)
    return base


def outputs(model):
    with torch.no_grad():
        out = model.eval()(input_ids=torch.arange(12).view(1, 12))
    return out.logits if "logits" in out else out.last_hidden_state


def weights(folder):
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


KINDS = {
    "alpha / r": (small_llama, dict(target_modules=["q_proj", "down_proj"])),
    "rsLoRA and patterns": (small_llama, dict(
        target_modules="all-linear", use_rslora=True, rank_pattern={r"layers\.1\.self_attn\.(q|v)_proj": 7, "down_proj": 3},
        alpha_pattern={"^model.layers.0.mlp.up_proj": 1, "k_proj": 9})),
    "embeddings and head": (small_llama, dict(target_modules=["q_proj", "embed_tokens", "lm_head"])),
    "saved modules": (small_llama, dict(target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens", "norm"])),
    "all biases": (qwen2, dict(target_modules=["q_proj", "o_proj"], bias="all")),
    "biases of factors": (qwen2, dict(target_modules=["q_proj", "v_proj"], lora_bias=True)),
    "Conv1D": (gpt2, dict(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "tied head": (lambda: small_llama(tie_word_embeddings=True), dict(target_modules=["q_proj", "lm_head"])),
    "tied embedding": (lambda: small_llama(tie_word_embeddings=True), dict(target_modules=["q_proj", "embed_tokens"])),
    "bare model": (bert, dict(target_modules=["query", "dense"])),
}


def merged_model_is_base_and_adapter(folder):
    worst = 0
    for number, (kind, (make, settings)) in enumerate(KINDS.items()):
        here = folder / str(number)
        base = fresh(make, here / "base")
        model = train(base, here / "adapter", **settings)
        expected = outputs(model)
        unbraid("merge", here / "base", here / "adapter", "-o", here / "merged")
        ours = (AutoModel if make is bert else AutoModelForCausalLM).from_pretrained(here / "merged", dtype=torch.float32)
        error = ((outputs(ours) - expected).norm() / expected.norm()).item()
        require(error < 2e-6, f"{kind}: outputs differ by {error:.1e} of their norm")
        worst = max(worst, error)
        if "tied" in kind:
            # PEFT merges into the one table that both modules share, and then it is another model.
            continue
        peft = model.merge_and_unload().state_dict()
        for name, tensor in ours.state_dict().items():
            difference = (tensor - peft[name]).norm() / peft[name].norm().clamp(min=1e-3)
            require(difference < 1e-6, f"{kind}: '{name}' differs from merge_and_unload's by {difference:.1e}")
    return f"{len(KINDS)} kinds, outputs within {worst:.0e}"


def one_rounding_in_half_precision(folder):
    """PEFT rounds the update and then the sum; unbraid rounds once, and is never further from the exact sum."""
    ratios = {}
    for dtype in (torch.bfloat16, torch.float16):
        here = folder / str(dtype)
        base = fresh(small_llama, here / "base", dtype)
        before = {name: tensor.double() for name, tensor in base.state_dict().items()}
        model = train(base, here / "adapter", target_modules=["q_proj", "up_proj"])
        unbraid("merge", here / "base", here / "adapter", "-o", here / "merged")
        ours = weights(here / "merged")
        factors = load_file(here / "adapter/adapter_model.safetensors")
        peft = model.merge_and_unload().state_dict()
        errors = {"ours": 0.0, "PEFT's": 0.0}
        for key in (k for k in factors if k.endswith("lora_A.weight")):
            name = key.removeprefix("base_model.model.").replace("lora_A.", "")
            exact = before[name] + 1.5 * factors[key.replace("lora_A", "lora_B")].double() @ factors[key].double()
            require(ours[name].dtype == dtype, f"'{name}' is {ours[name].dtype}")
            nearest = (exact.to(dtype).double() - exact).abs()
            mine = (ours[name].double() - exact).abs()
            # A sum in single precision may fall on the other side of a tie between two values of the type.
            require(((mine - nearest) / exact.abs().clamp(min=1e-4)).max() < 1e-5, f"'{name}' is not the nearest {dtype}")
            errors["ours"] += mine.square().sum().item()
            errors["PEFT's"] += (peft[name].double() - exact).square().sum().item()
        require(errors["ours"] <= errors["PEFT's"], f"{dtype}: {errors}")
        ratios[dtype] = (errors["PEFT's"] / errors["ours"]) ** 0.5
    return "rounding error of PEFT's merge over ours: " + ", ".join(f"{d} {r:.3f}" for d, r in ratios.items())


def several_adapters_are_their_sum(folder):
    base = fresh(small_llama, folder / "base")
    for seed, settings in ((1, dict(target_modules=["q_proj", "up_proj"])), (2, dict(target_modules=["q_proj", "v_proj"], r=3))):
        train(fresh(small_llama, folder / "base"), folder / f"a{seed}", seed, **settings)
    model = PeftModel.from_pretrained(base, folder / "a1", adapter_name="a1")
    model.load_adapter(folder / "a2", adapter_name="a2")
    model.base_model.set_adapter(["a1", "a2"])
    for name, weight in (("a1", 0.7), ("a2", -1.5)):
        for module in model.modules():
            if isinstance(module, LoraLayer) and name in module.scaling:
                module.scaling[name] *= weight
    expected = logits(model)
    unbraid("merge", folder / "base", f"{folder}/a1=0.7", f"{folder}/a2=-1.5", "-o", folder / "merged", "--shard-size", "8K")
    require(len(list((folder / "merged").glob("*.safetensors"))) > 3, "no shards")
    error = (logits(AutoModelForCausalLM.from_pretrained(folder / "merged")) - expected).abs().max().item()
    require(error < 1e-5, f"logits differ by {error:.1e}")
    return f"logits within {error:.0e}"


CHECKS = [merged_model_is_base_and_adapter, one_rounding_in_half_precision, several_adapters_are_their_sum]
