"""Loads what `unbraid init` and `unbraid convert` write in PEFT and svd-training, and compares with their own."""
import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast)

from covariances import convert as convert_covariances
from support import PAIRS, Skip, load, logits, require, tiny_llama, unbraid

BASE = PAIRS / "pairs/tinyllama-base"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RESIDUAL_METHODS = ["pissa", "milora", "olora"]


def half_ulp(values, dtype):
    """Half the distance between neighbours of the type around each value, as doubles."""
    digits = {torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}[dtype]
    _, exponent = torch.frexp(values.double().abs())
    lowest = {torch.float32: -126, torch.float16: -14, torch.bfloat16: -126}[dtype]
    return torch.ldexp(torch.ones_like(values, dtype=torch.float64), torch.clamp(exponent - 1, min=lowest) - digits)


def saved_base(folder, make=tiny_llama, dtype=torch.float32):
    torch.manual_seed(0)
    model = make().to(dtype)
    model.save_pretrained(folder / "base")
    return model


def factors(adapter):
    """A and B of every module of an adapter's folder, in double precision."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    names = [n.removeprefix("base_model.model.").removesuffix(".lora_A.weight") for n in tensors if "lora_A" in n]
    return {n: (tensors[f"base_model.model.{n}.lora_A.weight"].double(),
                tensors[f"base_model.model.{n}.lora_B.weight"].double()) for n in names}


def from_disk(folder, dtype=None):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto").eval()


def sum_is_exact_to_the_last_rounding(folder):
    """Residual and rounded factors differ from the weights by the residual's last rounding alone; PEFT loads them."""
    worst = 0
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for method in RESIDUAL_METHODS:
            here = folder / f"{method}-{dtype}"
            base = saved_base(here, dtype=dtype)
            unbraid("init", here / "base", "--as", method, "--rank", "5", "-o", here / "out")
            weights, residual = base.state_dict(), from_disk(here / "out").state_dict()
            for name, (a, b) in factors(here / "out/adapter").items():
                left = residual[name + ".weight"].double() + b @ a - weights[name + ".weight"].double()
                require(residual[name + ".weight"].dtype == dtype, f"{name} is {residual[name + '.weight'].dtype}")
                # The product of two singles has 48 digits; sums of five of them round in the last of 53.
                limit = half_ulp(residual[name + ".weight"], dtype) + 1e-15
                require((left.abs() <= limit).all(), f"{method} {dtype} {name} is off by {(left.abs() / limit).max()}")
                worst = max(worst, (left.abs() / limit).max().item())
            untouched = [n for n in weights if n.removesuffix(".weight") not in factors(here / "out/adapter")]
            require(all(torch.equal(weights[n], residual[n]) for n in untouched), "another tensor changed")
            model = load(from_disk(here / "out", torch.float32), here / "out/adapter")
            error = (logits(model) - logits(from_disk(here / "base", torch.float32))).abs().max()
            bound = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 4e-3}[dtype]
            require(error < bound, f"{method} {dtype}: logits differ by {error}")
    return f"largest error {worst:.3f} of half a unit in the last place"


def conv1d_is_transposed(folder):
    def make():
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=32))
    saved_base(folder, make)
    covariances = {name: torch.eye(module.weight.shape[0]) for name, module in make().named_modules()
                   if type(module).__name__ == "Conv1D"}
    save_file(covariances, folder / "c.safetensors")
    for method in (*RESIDUAL_METHODS, "corda"):
        options = ["--covariance", folder / "c.safetensors"] if method == "corda" else []
        unbraid("init", folder / "base", "--as", method, "--rank", "4", "-o", folder / method, *options)
        error = (logits(load(from_disk(folder / method), folder / method / "adapter")) - logits(from_disk(folder / "base")))
        require(error.abs().max() < 1e-4, f"{method}: logits differ by {error.abs().max()}")
    wrapped = get_peft_model(from_disk(folder / "base"), LoraConfig(init_lora_weights="pissa", r=4, lora_alpha=4,
                             fan_in_fan_out=True, target_modules=["c_attn", "c_proj", "c_fc"], task_type="CAUSAL_LM"))
    return compare(factors(folder / "pissa/adapter"), peft_factors(wrapped), 1e-3)


def peft_factors(model):
    return {name.removeprefix("base_model.model."): (module.lora_A["default"].weight.detach().double(),
                                                     module.lora_B["default"].weight.detach().double())
            for name, module in model.named_modules() if hasattr(module, "lora_A") and module.lora_A}


def compare(ours, theirs, limit):
    """The largest relative difference of a row of A and of a column of B, up to their common sign."""
    require(ours.keys() == theirs.keys(), f"{len(ours)} modules here, {len(theirs)} there")
    worst = 0
    for name, (a, b) in ours.items():
        other_a, other_b = theirs[name]
        signs = (a * other_a).sum(1).sign()
        worst = max(worst, ((a - signs[:, None] * other_a).norm(dim=1) / a.norm(dim=1)).max().item(),
                    ((b - signs * other_b).norm(dim=0) / b.norm(dim=0)).max().item())
        product, other = b @ a, other_b @ other_a
        require((product - other).norm() <= limit * product.norm(), f"{name}: the products differ")
    require(worst <= limit, f"a factor differs by {worst:.1e} of its length")
    return f"largest difference {worst:.1e}"


def require_tinyllama():
    if not BASE.exists():
        raise Skip("no ../shared/data beside the checkout")


def factors_equal_pefts_own(folder):
    """PiSSA and OLoRA against PEFT; MiLoRA, which PEFT does not have, against the last triplets in double precision."""
    require_tinyllama()
    figures = []
    for method in RESIDUAL_METHODS:
        unbraid("init", BASE, "--as", method, "--rank", "16", "-o", folder / method, ranks=2)
        ours = factors(folder / method / "adapter")
        if method == "milora":
            theirs = {name: last_triplets(weight.double(), 16) for name, weight in
                      ((n, from_disk(BASE).get_submodule(n).weight.detach()) for n in ours)}
        else:
            theirs = peft_factors(get_peft_model(from_disk(BASE, torch.float32), LoraConfig(
                init_lora_weights=method, r=16, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")))
        figures.append(f"{method}: {compare(ours, theirs, 1e-2)}")
        model = load(from_disk(folder / method, torch.float32), folder / method / "adapter")
        error = (logits(model) - logits(from_disk(BASE, torch.float32))).abs().max()
        require(error < 0.1, f"{method}: logits differ by {error}")
    return "; ".join(figures)


def last_triplets(weight, rank):
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    root = s[-rank:].sqrt()
    return root[:, None] * vh[-rank:], u[:, -rank:] * root


def token_windows(text, model=BASE, length=128):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    ids = [t for e in tokenizer.backend_tokenizer.encode_batch(text) for t in [*e.ids, 1]]
    return torch.tensor(ids)[:len(ids) // length * length].view(-1, length)


def collect_covariances(folder, windows, mode, rank=16):
    """What PEFT's preprocess_corda finds on text, as its own file and as ours; the model with PEFT's eigenvectors."""
    model = from_disk(BASE, torch.float32)
    config = LoraConfig(init_lora_weights="corda", r=rank, lora_alpha=rank, target_modules=TARGETS, task_type="CAUSAL_LM",
                        corda_config=CordaConfig(covariance_file=str(folder / "c.pt"), corda_method=mode))

    @torch.no_grad()
    def run():
        for window in windows:
            model(input_ids=window[None])
    preprocess_corda(model, config, run_model=run)
    convert_covariances(folder / "c.pt", folder / "c.safetensors")
    return model, config


def corda_equals_pefts_own(folder):
    require_tinyllama()
    windows = token_windows((PAIRS / "text/base_heldout.txt").read_text().split("\n\n\n"))[:64]
    figures = []
    for mode in ("ipm", "kpm"):
        model, config = collect_covariances(folder, windows, mode)
        theirs = peft_factors(get_peft_model(model, config))
        unbraid("init", BASE, "--as", "corda", "--mode", mode, "--rank", "16", "--covariance", folder / "c.safetensors",
                "-o", folder / mode, ranks=2)
        ours = factors(folder / mode / "adapter")
        figures.append(f"{mode}: {compare(ours, theirs, 1e-2)}")
        load(from_disk(folder / mode, torch.float32), folder / mode / "adapter")
    return "; ".join(figures)


def held_out_loss(model, windows):
    with torch.no_grad():
        losses = [model(input_ids=batch, labels=batch).loss.item() * len(batch) for batch in windows.split(16)]
    return sum(losses) / len(windows)


def corda_keeps_more(folder):
    """CorDA's first experiment: without the smallest quarter of components, text like that of the covariances suffers less.

    The residual models are what is left without them: kpm and milora take the smallest components out.
    """
    require_tinyllama()
    windows = token_windows((PAIRS / "text/base_heldout.txt").read_text().split("\n\n\n"))
    seen, held_out = windows[::2][:256], windows[1::2][:256]
    collect_covariances(folder, seen, "kpm")
    unbraid("init", BASE, "--as", "milora", "--rank-fraction", "0.25", "-o", folder / "plain", ranks=2)
    unbraid("init", BASE, "--as", "corda", "--mode", "kpm", "--rank-fraction", "0.25", "--covariance",
            folder / "c.safetensors", "-o", folder / "corda", ranks=2)
    whole, plain, corda = (held_out_loss(from_disk(path, torch.float32), held_out)
                           for path in (BASE, folder / "plain", folder / "corda"))
    figures = f"loss {whole:.4f}, after the plain SVD {plain:.4f}, after CorDA's {corda:.4f}"
    require(corda < plain, figures)
    return figures


CHECKS = [sum_is_exact_to_the_last_rounding, conv1d_is_transposed, factors_equal_pefts_own, corda_equals_pefts_own,
          corda_keeps_more]
