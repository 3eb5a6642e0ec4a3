"""Runs llama.cpp and vLLM themselves on what `unbraid export` writes for them, and compares with PEFT's view."""
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch

from families import ENDS, FAMILIES, tiny
from profiles import export, save_adapter
from support import Skip, logits, require

HERE = Path(__file__).resolve().parent


def next_tokens(all_logits):
    return torch.log_softmax(all_logits[0, :11].double(), dim=-1).numpy()


def save_family(folder, family, without=()):
    """PEFT's probabilities without and with an adapter of a tiny model of the family, and the updates."""
    folder.mkdir()
    settings = dict(FAMILIES[family][1])
    settings["target_modules"] = [name for name in settings["target_modules"] if name not in without]
    base, truth, deltas = save_adapter(folder, lambda: tiny(family), **settings)
    return next_tokens(logits(base)), next_tokens(truth), deltas


def run(program, package, folders):
    if find_spec(package) is None:
        raise Skip(f"{package} is not installed; deploy/consumers/environment.sh installs it where it can")
    done = subprocess.run([sys.executable, str(HERE / program), *map(str, folders)], capture_output=True, text=True, timeout=600)
    said = [line for line in done.stderr.splitlines() if "Error" in line or "ASSERT" in line] or done.stderr.splitlines()
    require(done.returncode == 0, f"{program}: exit {done.returncode}: {' '.join(said[-2:])}")


def compare(name, found, truths, bound):
    """The error of an adapter's effect, relative to the effect."""
    before, after = truths
    unchanged = numpy.abs(found["before"] - before).max()
    require(unchanged < 1e-3, f"{name}: without the adapter they differ by {unchanged}")
    effect = after - before
    error = numpy.linalg.norm(found["after"] - found["before"] - effect) / numpy.linalg.norm(effect)
    require(error < bound, f"{name}: the adapter's effect differs by {error:.1e} of it")
    return error


def summary(errors):
    worst = max(errors, key=errors.get)
    return f"effects of {len(errors)} differ by at most {errors[worst]:.1e} of them ({worst}): {', '.join(errors)}"


def llama_cpp_computes_what_peft_does(folder):
    truths = {}
    for family in FAMILIES:
        truths[family] = save_family(folder / family, family)[:2]
        export(folder / family, "llama.cpp")
    run("run_llama_cpp.py", "xllamacpp", [folder / family for family in FAMILIES])
    # ggml looks GELU up in a table of half precision.
    bounds = {family: 2e-3 if family.startswith(("gemma", "gpt2", "starcoder2")) else 1e-4 for family in FAMILIES}
    return summary({family: compare(family, numpy.load(folder / family / "llama.cpp.npz"), truth, bounds[family])
                    for family, truth in truths.items()})


def vllm_computes_what_peft_does(folder):
    truths = {}
    for family in ("llama", "qwen3", "phi3", "gemma2"):
        truths[family] = save_family(folder / family, family)[:2]
        export(folder / family, "vllm")
    run("run_vllm.py", "vllm", [folder / family for family in truths])
    return summary({family: compare(family, numpy.load(folder / family / "vllm.npz"), truth, 1e-4)
                    for family, truth in truths.items()})


def vllm_holds_what_each_expert_gets(folder):
    updates = {}
    for family in ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe"):
        # vLLM refuses adapters of embeddings and heads in most families.
        updates[family] = save_family(folder / family, family, without=ENDS)[2]
        export(folder / family, "vllm")
        # vLLM passes over fused experts of mixtral: they are not where it has them.
        if family != "mixtral":
            export(folder / family, "all")
    run("run_vllm.py", "vllm", [folder / family for family in updates])
    worst = 0
    for family, deltas in updates.items():
        found = numpy.load(folder / family / "vllm.npz")
        for name in found.files:
            true = expert_update(deltas, *name.removeprefix("fused ").split("."))
            worst = max(worst, numpy.abs(found[name] - true).max())
            require(worst < 1e-5, f"{family}: {name} differs by {worst}")
        layouts = 1 if family == "mixtral" else 2
        require(len(found.files) == layouts * 2 * 4, f"{family}: {found.files}")
    return f"updates differ by at most {worst:.1e}: {', '.join(updates)}"


def expert_update(deltas, layer, part):
    """All experts' updates of the gate, up or down of a layer, or its router's."""
    if part == "router":
        return deltas[f"model.layers.{layer}.mlp.gate"].numpy()
    experts = f"model.layers.{layer}.mlp.experts"
    if part == "down":
        return deltas[experts].numpy()
    gate_up = deltas[f"{experts}.base_layer"].numpy()
    half = gate_up.shape[1] // 2
    return gate_up[:, :half] if part == "gate" else gate_up[:, half:]


CHECKS = [llama_cpp_computes_what_peft_does, vllm_computes_what_peft_does, vllm_holds_what_each_expert_gets]
