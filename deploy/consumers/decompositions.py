"""Reads decompositions with NumPy and PyTorch alone, and holds adapters made of them against PEFT and the definitions."""
import json

import numpy
import torch
from peft.tuners.lora import LoraLayer
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file as load_torch

from support import PAIRS, Skip, is_linear, load, require, save_pair, tiny_llama, unbraid

RANK = 6


def small_llama():
    return tiny_llama(num_hidden_layers=3)


def tensors(folder, reader):
    """All tensors of a decomposition, each from the file that the index names."""
    index = json.loads((folder / "decomposition.safetensors.index.json").read_text())
    files = {name: reader(folder / name) for name in set(index["weight_map"].values())}
    found = {name: files[file][name] for name, file in index["weight_map"].items()}
    require(sum(map(len, files.values())) == len(found), "a file holds what the index does not name")
    size = sum(tensor.nbytes for tensor in found.values())
    require(size == index["metadata"]["total_size"], f"{size} bytes, the index says {index['metadata']}")
    return found


def deltas(base, tuned):
    before, after = base.state_dict(), tuned.state_dict()
    return {name.removesuffix(".weight"): (after[name] - before[name]).double().numpy()
            for name in before if is_linear(name)}


def decompose(folder, *options):
    base, tuned = save_pair(folder, small_llama, is_linear)
    unbraid("decompose", folder / "base", folder / "tuned", "-o", folder / "parts", "--rank", RANK, *options)
    return base, tuned


def decomposition_reads_in_numpy(folder):
    base, tuned = decompose(folder, "--shard-size", "20K", "--method", "gram")
    found = tensors(folder / "parts", load_numpy)
    again = tensors(folder / "parts", load_torch)
    require(all(numpy.array_equal(found[name], again[name].numpy()) for name in found), "NumPy and PyTorch differ")
    record = json.loads((folder / "parts" / "decomposition.json").read_text())
    require(record["format"] == "unbraid decomposition 1", record["format"])
    truth = deltas(base, tuned)
    require([m["module"] for m in record["modules"]] == sorted(truth), "other modules than the model's")
    worst = 0
    for module in record["modules"]:
        delta = truth[module["module"]]
        u, s, vh = (found[f"{module['module']}.{part}"].astype(float) for part in ("U", "S", "Vh"))
        require(u.shape == (delta.shape[0], RANK) and vh.shape == (RANK, delta.shape[1]), "shapes")
        for factor in (u.T @ u, vh @ vh.T):
            require(abs(factor - numpy.eye(RANK)).max() < 1e-6, "vectors are not orthonormal")
        best = numpy.linalg.svd(delta, compute_uv=False)
        worst = max(worst, abs(s - best[:RANK]).max() / best[0])
        left = numpy.linalg.norm(delta - u * s @ vh)
        require(abs(left - module["residual"]) < 1e-6 * module["norm"], "the residual is another")
        require(abs(module["tailEnergy"] - (best[RANK:] ** 2).sum()) < 1e-5 * module["norm"] ** 2, "the tail is another")
    require(worst < 1e-6, f"singular values are off by {worst}")
    return f"{len(set(truth))} modules, singular values to {worst:.1e} of the largest"


def rounded_norms_read_in_numpy(folder):
    _, tuned = save_pair(folder, small_llama, dtype=torch.bfloat16)
    unbraid("decompose", folder / "base", folder / "tuned", "-o", folder / "parts", "--rank", RANK)
    found = tensors(folder / "parts", load_numpy)
    norms = {name: value for name, value in tuned.state_dict().items() if "norm" in name}
    for name, value in norms.items():
        require(numpy.array_equal(found[name], value.numpy()), f"{name} differs")
    return f"{len(norms)} normalisations of a bf16 model"


def adapters_of_decompositions_load(folder):
    base, tuned = decompose(folder)
    truth = deltas(base, tuned)
    worst = 0
    for number, options in enumerate([["--alpha", "11", "--rank", "4"], ["--energy", "0.5", "--alpha", "3"],
                                      ["--budget-parameters", "3000"], ["--scale", "v_proj:0=2", "--drop", "mlp:0"],
                                      ["--sv-fro", "0.7", "--layers", "0,2"]]):
        output = folder / f"adapter-{number}"
        unbraid("adapter", folder / "parts", "-o", output, *options)
        model = load(small_llama(), output)
        report = {m["module"]: m for m in json.loads((output / "report.json").read_text())["modules"]}
        adapted = 0
        for name, module in model.named_modules():
            if not isinstance(module, LoraLayer):
                continue
            adapted += 1
            record = report[name.removeprefix("base_model.model.")]
            left = numpy.linalg.norm(truth[record["module"]] - module.get_delta_weight("default").double().numpy())
            worst = max(worst, abs(left - record["writtenResidual"]) / record["norm"])
        require(adapted == sum(m["rank"] > 0 for m in report.values()), "PEFT adapts other modules")
    require(worst < 1e-5, f"residuals are off by {worst}")
    return f"residuals to {worst:.1e} of the norm, by PEFT's own update"


def rank_rules_are_their_definitions(folder):
    save_pair(folder, small_llama, is_linear)
    unbraid("decompose", folder / "base", folder / "tuned", "-o", folder / "parts", "--rank-fraction", 1, "--method", "dense")
    found = tensors(folder / "parts", load_numpy)
    values = {name.removesuffix(".S"): tensor for name, tensor in found.items() if name.endswith(".S")}

    def fewest(terms, limit):
        return int(numpy.searchsorted(numpy.cumsum(terms) / terms.sum(), limit)) + 1

    rules = {("--energy", 0.7): lambda s: fewest(s**2, 0.7), ("--sv-fro", 0.8): lambda s: fewest(s**2, 0.8**2),
             ("--sv-cumulative", 0.6): lambda s: fewest(s, 0.6), ("--sv-ratio", 3): lambda s: int((s > s[0] / 3).sum()),
             ("--epsilon", 0.2): lambda s: int((s > 0.2).sum()),
             ("--sv-fro", 0.8, "--compat", "kohya"): lambda s: fewest(s**2, 0.8**2) + 1}
    for options, rule in rules.items():
        output = folder / "-".join(map(str, options))
        unbraid("adapter", folder / "parts", "-o", output, *options)
        for module in json.loads((output / "report.json").read_text())["modules"]:
            expected = rule(values[module["module"]])
            require(module["rank"] == expected, f"{options}: {module['module']} has {module['rank']}, not {expected}")
    return f"{len(rules)} rules on {len(values)} modules"


def decomposition_is_the_extraction_of_a_trained_pair(folder):
    pair = PAIRS / "pairs"
    if not (pair / "tinyllama-ft").exists():
        raise Skip(f"{pair} is not there")
    models = pair / "tinyllama-base", pair / "tinyllama-ft"
    unbraid("extract", *models, "-o", folder / "extracted", "--rank", 32, "--head", "--save-norms", ranks=2)
    unbraid("decompose", *models, "-o", folder / "parts", "--rank", 32, "--head", ranks=2)
    unbraid("adapter", folder / "parts", "-o", folder / "made", "--save-norms")
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        require((folder / "made" / file).read_bytes() == (folder / "extracted" / file).read_bytes(), f"{file} differs")
    return "the same bytes"


CHECKS = [decomposition_reads_in_numpy, rounded_norms_read_in_numpy, adapters_of_decompositions_load,
          rank_rules_are_their_definitions, decomposition_is_the_extraction_of_a_trained_pair]
