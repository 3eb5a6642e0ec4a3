"""Holds `unbraid merge`, `verify`, `resize` and `export` against PEFT on its own adapters of fused experts (`target_parameters`).

The checkpoints of some families stack the experts of a layer in one tensor, those of others have modules of single experts.
"""
import json
import os
import subprocess

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

import experts
from merging import fresh, outputs, train, weights
from support import require, unbraid

FUSED = {
    **experts.FAMILIES,
    # Gate and up together are square, and so is what of an earlier PEFT lies the other way round.
    "qwen3_moe, square": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(
        **experts.SIZES, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2, head_dim=8, decoder_sparse_step=1)),
}
BOTH = dict(
    target_modules=["q_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj", "gate.weight", "router.weight"],
    # PEFT holds these against the parameter's path.
    rank_pattern={"gate_up_proj": 2, r"layers\.1\..*experts\.down_proj": 5}, alpha_pattern={"gate_up_proj": 7})
# With one parameter alone there is one wrapper.
ADAPTED = {"both": BOTH, "gate and up": dict(target_modules=["q_proj"], target_parameters=["gate_up_proj"], use_rslora=True),
           "down": dict(target_modules=[], target_parameters=["down_proj"], rank_pattern={"experts.down_proj": 3})}


def model_of(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def merged_difference(here, adapter, expected):
    """How far the outputs of base and adapter merged are from others, over their norm."""
    merged = here / f"{adapter} merged"
    unbraid("merge", here / "base", here / adapter, "-o", merged)
    unbraid("verify", here / "base", merged, here / adapter, "--max-loss", 1e-4)
    return ((outputs(model_of(merged)) - expected).norm() / expected.norm()).item()


def fused_experts_are_merged(folder):
    worst = 0
    for family, make in FUSED.items():
        for kind, settings in ADAPTED.items():
            here = folder / f"{family} {kind}"
            expected = outputs(train(fresh(make, here / "base"), here / "adapter", **settings))
            error = merged_difference(here, "adapter", expected)
            require(error < 2e-6, f"{family}, {kind}: outputs differ by {error:.1e} of their norm")
            require((outputs(model_of(here / "base")) - expected).norm() / expected.norm() > 1e-2, "the adapter changes nothing")
            worst = max(worst, error)
    return f"{len(FUSED)} families, outputs within {worst:.0e}"


def with_old_factors(folder, old, family):
    """The same adapter as PEFT 0.18.1 had it, to which every parameter was experts x in x out."""
    tensors = load_file(folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["peft_version"] = "0.18.1"
    # What today's PEFT takes for that too stays as it is.
    for key in [k for k in tensors if ".experts." in k and k.endswith("lora_A.weight") and "gpt_oss" not in family]:
        other = key.replace("lora_A", "lora_B")
        a, b = tensors[key], tensors[other]
        by_expert = a.reshape(4, -1, a.shape[1]), b.reshape(b.shape[0], -1, 4)
        tensors[key] = by_expert[1].permute(2, 1, 0).reshape(a.shape[0], b.shape[0]).contiguous()
        tensors[other] = by_expert[0].permute(2, 1, 0).reshape(a.shape[1], a.shape[0]).contiguous()
    old.mkdir()
    save_file(tensors, old / "adapter_model.safetensors")
    (old / "adapter_config.json").write_text(json.dumps(config))


def old_fused_experts_are_merged(folder):
    worst = 0
    for family, make in FUSED.items():
        here = folder / family
        expected = outputs(train(fresh(make, here / "base"), here / "adapter", **BOTH))
        with_old_factors(here / "adapter", here / "old", family)
        # An export is in today's order, which PEFT itself loads.
        unbraid("export", here / "old", "--for", "peft", "-o", here / "new", "--base", here / "base")
        unbraid("resize", here / "old", "-o", here / "resized", "--rank", 9)
        loaded = PeftModel.from_pretrained(model_of(here / "base"), here / "new")
        errors = [merged_difference(here, adapter, expected) for adapter in ("old", "new", "resized")]
        errors.append(((outputs(loaded) - expected).norm() / expected.norm()).item())
        require(max(errors) < 2e-6, f"{family}: outputs differ by {errors} of their norm")
        worst = max(worst, *errors)
    return f"{len(FUSED)} families, outputs within {worst:.0e}"


def several_adapters_of_experts_are_their_sum(folder):
    worst = 0
    for family, make in FUSED.items():
        here = folder / family
        for seed in (1, 2):
            train(fresh(make, here / "base"), here / f"a{seed}", seed, **(BOTH if seed == 1 else {**BOTH, "rank_pattern": {}}))
        model = PeftModel.from_pretrained(model_of(here / "base"), here / "a1", adapter_name="a1")
        model.load_adapter(here / "a2", adapter_name="a2")
        model.base_model.set_adapter(["a1", "a2"])
        for name, weight in (("a1", 0.7), ("a2", -1.5)):
            for module in model.modules():
                if isinstance(module, LoraLayer) and name in module.scaling:
                    module.scaling[name] *= weight
        expected = outputs(model)
        unbraid("merge", here / "base", f"{here}/a1=0.7", f"{here}/a2=-1.5", "-o", here / "merged")
        error = ((outputs(model_of(here / "merged")) - expected).norm() / expected.norm()).item()
        require(error < 2e-6, f"{family}: outputs differ by {error:.1e} of their norm")
        worst = max(worst, error)
    return f"{len(FUSED)} families, outputs within {worst:.0e}"


def expert_updates(base, adapter):
    """Every expert's update as the parameter in memory has it, by the parameter's path; plain modules are stacks of one."""
    model = PeftModel.from_pretrained(model_of(base), adapter)
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            path = name.removeprefix("base_model.model.").replace(".base_layer", "")
            delta = module.get_delta_weight("default").detach().double()
            found[f"{path}.{getattr(module, 'parameter_name', '')}"] = delta if delta.dim() == 3 else delta[None]
    return found


def resized_experts_are_their_leading_triplets(folder):
    worst = 0
    for family, make in FUSED.items():
        here = folder / family
        train(fresh(make, here / "base"), here / "adapter", **BOTH)
        unbraid("resize", here / "adapter", "-o", here / "resized", "--energy", 0.6)
        before, after = expert_updates(here / "base", here / "adapter"), expert_updates(here / "base", here / "resized")
        require(before.keys() == after.keys(), f"{family}: {before.keys() ^ after.keys()}")
        ranks = set()
        for path, update in before.items():
            for old, new in zip(update, after[path]):
                u, s, v = torch.linalg.svd(old)
                rank = int((s.square().cumsum(0) / s.square().sum() < 0.6).sum()) + 1
                truth = (u[:, :rank] * s[:rank]) @ v[:rank]
                error = ((new - truth).norm() / truth.norm()).item()
                require(error < 1e-5, f"{family}: {path} differs by {error:.1e}")
                worst = max(worst, error)
                ranks.add(rank)
        require(len(ranks) > 1, f"{family}: no two ranks")
    return f"{len(FUSED)} families, products within {worst:.0e}"


def budgets_hold_with_the_zeros_of_experts(folder):
    """Experts that PEFT wants of one rank are filled up with zeros, which count."""
    shares = []
    for family, make in FUSED.items():
        here = folder / family
        experts.pair(here, make)
        train(fresh(make, here / "base"), here / "trained", **BOTH)
        unbraid("decompose", here / "base", here / "tuned", "-o", here / "triplets", "--rank", 8)
        for command, source in (("resize", "trained"), ("adapter", "triplets")):
            whole = {}
            for part in (1, 0.7, 0.3):
                option = ["--budget-parameters", int(part * whole[1])] if whole else ["--epsilon", 1e-9]
                unbraid(command, here / source, "-o", here / f"{command} {part}", *option)
                tensors = load_file(here / f"{command} {part}" / "adapter_model.safetensors")
                whole[part] = sum(tensor.numel() for tensor in tensors.values())
                require(whole[part] <= part * whole[1], f"{family}: {command} to {part}: {whole}")
            shares += [whole[part] / part / whole[1] for part in (0.7, 0.3)]
    return f"{min(shares):.0%} to {max(shares):.0%} of the budgets used"


def verify_is_the_true_error_of_experts(folder):
    """In the tensors of the checkpoint, whether they hold one expert or all."""
    count = 0
    for family, make in FUSED.items():
        here = folder / family
        experts.pair(here, make)
        model = train(model_of(here / "base"), here / "adapter", **{**BOTH, "init_lora_weights": False})
        model.merge_and_unload().save_pretrained(here / "both")
        output = subprocess.run([os.environ["UNBRAID"], "verify", here / "base", here / "tuned", here / "adapter", "--json"],
                                capture_output=True, text=True, check=True).stdout
        records = {record["name"]: record for record in json.loads(output)["covered"]}
        base, tuned, both = (weights(here / name) for name in ("base", "tuned", "both"))
        changed = [name for name in base if not torch.equal(base[name], both[name])]
        truth = {}
        for name in changed:
            delta, rest = (tuned[name].double() - other[name].double() for other in (base, both))
            if delta.dim() == 2:
                truth[name] = (rest.norm() / delta.norm()).item()
            else:
                truth |= {f"{name}[{e}]": (rest[e].norm() / delta[e].norm()).item() for e in range(len(delta))}
        require(len(truth) == len(records), f"{family}: {len(records)} covered, not {len(truth)}")
        # PEFT's names are not the checkpoint's: the errors themselves tell them apart.
        for found, true in zip(sorted(record["loss"] for record in records.values()), sorted(truth.values())):
            require(abs(found / true - 1) < 1e-5, f"{family}: loss {found}, not {true}")
        count += len(truth)
    return f"{count} tensors and experts of {len(FUSED)} families"


CHECKS = [fused_experts_are_merged, old_fused_experts_are_merged, several_adapters_of_experts_are_their_sum,
          resized_experts_are_their_leading_triplets, budgets_hold_with_the_zeros_of_experts, verify_is_the_true_error_of_experts]
