"""Holds `unbraid merge`, `resize`, `graft` and `verify` against PEFT on adapters that PEFT itself has saved."""
import json
import os
import subprocess

import torch
from peft import LoraConfig, PeftModel, convert_to_lora, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file
from transformers import (AutoModel, AutoModelForCausalLM, BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, Qwen2Config,
                          Qwen2ForCausalLM)

from support import extract, load, logits, require, save_pair, tiny_llama, unbraid

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
    "tied embedding, its configuration silent": (gpt2, dict(target_modules=["wte"])),
    "tied embedding, tying wished for": (gpt2, dict(target_modules=["wte"], ensure_weight_tying=True)),
    "tied, the head saved": (gpt2, dict(target_modules=["c_attn"], fan_in_fan_out=True, modules_to_save=["lm_head"])),
    "bare model": (bert, dict(target_modules=["query", "dense"])),
}


def silence(folder):
    """Takes the word on tied weights out of a configuration, as GPT-2's own has none."""
    path = folder / "config.json"
    configuration = json.loads(path.read_text())
    del configuration["tie_word_embeddings"]
    path.write_text(json.dumps(configuration))


def merged_model_is_base_and_adapter(folder):
    worst = 0
    for number, (kind, (make, settings)) in enumerate(KINDS.items()):
        here = folder / str(number)
        base = fresh(make, here / "base")
        if "silent" in kind:
            silence(here / "base")
        model = train(base, here / "adapter", **settings)
        expected = outputs(model)
        unbraid("merge", here / "base", here / "adapter", "-o", here / "merged")
        unbraid("verify", here / "base", here / "merged", here / "adapter", "--max-loss", 1e-4)
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


def updates(folder):
    """Every module's scale · B·A in double precision, and its rank, as PEFT reads them."""
    config = LoraConfig.from_pretrained(folder)
    factors = load_file(folder / "adapter_model.safetensors")
    found = {}
    for key in (k for k in factors if k.endswith("lora_A.weight")):
        module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        a, b = factors[key].double(), factors[key.replace("lora_A", "lora_B")].double()
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern, module), config.r)
        alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, module), config.lora_alpha)
        require(rank == a.shape[0], f"{module}: rank {rank} in the configuration, {a.shape[0]} in the file")
        found[module] = (alpha / (rank ** 0.5 if config.use_rslora else rank) * b @ a, rank)
    return found


def resize_is_peft_conversion(folder):
    worst = 0
    kinds = (("llama", small_llama, dict(target_modules="all-linear", r=8, use_rslora=True, rank_pattern={"down_proj": 3})),
             ("gpt2", gpt2, dict(target_modules=["c_attn", "c_fc"], r=8, fan_in_fan_out=True)))
    for name, make, settings in kinds:
        here = folder / name
        model = train(fresh(make, here / "base"), here / "adapter", **settings)
        whole = updates(here / "adapter")
        for rank, option in ((3, "--rank"), (0.5, "--energy"), (0.9, "--energy"), (0.999, "--energy")):
            config, state = convert_to_lora(model, rank)
            unbraid("resize", here / "adapter", "-o", here / f"r{rank}", option, rank)
            # PEFT's tuner warns of Conv1D without fan_in_fan_out, and of missing keys.
            load(fresh(make, here / "base"), here / f"r{rank}")
            ours = updates(here / f"r{rank}")
            require(len(ours) == len(whole), f"{len(ours)} of {len(whole)} modules")
            for module, (update, kept) in ours.items():
                prefix = f"base_model.model.{module}.lora_"
                theirs = state[prefix + "B.weight"].double() @ state[prefix + "A.weight"].double()
                require(kept == state[prefix + "A.weight"].shape[0], f"{name} {rank} {module}: rank {kept}")
                error = ((update - theirs).norm() / theirs.norm()).item()
                require(error < 1e-5, f"{name} {rank} {module}: products differ by {error:.1e}")
                worst = max(worst, error)
    return f"products within {worst:.0e}"


def resize_rules_are_their_definitions(folder):
    train(fresh(small_llama, folder / "base"), folder / "adapter", target_modules="all-linear", r=8)
    values = {module: torch.linalg.svdvals(update) for module, (update, _) in updates(folder / "adapter").items()}
    rules = {
        ("--sv-fro", 0.9): lambda s: int((s.square().cumsum(0) / s.square().sum() < 0.81).sum()) + 1,
        ("--sv-ratio", 2.0): lambda s: int((s > s[0] / 2).sum()),
        ("--sv-cumulative", 0.7): lambda s: int((s.cumsum(0) / s.sum() < 0.7).sum()) + 1,
        ("--epsilon", 0.1): lambda s: int((s > 0.1).sum()),
        ("--rank-fraction", 0.125): lambda s: len(s) // 8,
    }
    for (option, number), rank in rules.items():
        unbraid("resize", folder / "adapter", "-o", folder / option, option, number)
        kept = {module: k for module, (_, k) in updates(folder / option).items()}
        for module, s in values.items():
            require(kept.get(module, 0) == rank(s), f"{option} {number}: {module} has rank {kept.get(module, 0)}, not {rank(s)}")


def verify_is_the_true_error(folder):
    torch.manual_seed(0)
    base, tuned = save_pair(folder, small_llama, lambda n: "proj" in n or "norm" in n, torch.bfloat16)
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "4")
    output = subprocess.run([os.environ["UNBRAID"], "verify", folder / "base", folder / "tuned", folder / "adapter", "--json"],
                            capture_output=True, text=True, check=True).stdout
    report = json.loads(output)
    before, after = base.state_dict(), tuned.state_dict()
    for module, (update, rank) in updates(folder / "adapter").items():
        delta = after[module + ".weight"].double() - before[module + ".weight"].double()
        record = next(r for r in report["covered"] if r["name"] == module)
        truth = ((delta - update).norm() / delta.norm()).item()
        require(abs(record["loss"] / truth - 1) < 1e-5 and record["rank"] == rank, f"{module}: {record}, not {truth}")
    changed = {n for n in before if not torch.equal(before[n], after[n]) and n.endswith("norm.weight")}
    require({r["tensor"] for r in report["uncovered"]} == changed, "what is not covered")


def graft_is_whole_layers(folder):
    base, tuned = save_pair(folder, lambda: tiny_llama(num_hidden_layers=4))
    unbraid("graft", folder / "base", folder / "tuned", "--layers", "1-2", "-o", folder / "grafted")
    grafted = AutoModelForCausalLM.from_pretrained(folder / "grafted").state_dict()
    before, after = base.state_dict(), tuned.state_dict()
    for name, tensor in grafted.items():
        source = after if "layers.1." in name or "layers.2." in name else before
        require(torch.equal(tensor, source[name]), f"'{name}' comes from the other model")


CHECKS = [merged_model_is_base_and_adapter, one_rounding_in_half_precision, several_adapters_are_their_sum,
          resize_is_peft_conversion, resize_rules_are_their_definitions, verify_is_the_true_error, graft_is_whole_layers]
