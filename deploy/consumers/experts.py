"""Adapters of mixtures of experts, whose experts and routers are parameters in Transformers 5, loaded in PEFT.

The checkpoints of some families stack the experts of a layer in one tensor, those of others have modules of single experts.
"""
import json
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import (AutoModelForCausalLM, GptOssConfig, GptOssForCausalLM, GraniteMoeConfig, GraniteMoeForCausalLM,
                          Llama4ForCausalLM, Llama4TextConfig, MixtralConfig, MixtralForCausalLM, Qwen3MoeConfig,
                          Qwen3MoeForCausalLM)

from support import extract, logits, require, unbraid

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, tie_word_embeddings=False)
FAMILIES = {
    "qwen3_moe": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(
        **SIZES, moe_intermediate_size=24, num_experts=4, num_experts_per_tok=2, head_dim=8, decoder_sparse_step=1)),
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2)),
    "granitemoe": lambda: GraniteMoeForCausalLM(GraniteMoeConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2)),
    "gpt_oss": lambda: GptOssForCausalLM(GptOssConfig(
        **SIZES, head_dim=8, num_local_experts=4, num_experts_per_tok=2, layer_types=["full_attention"] * 2)),
    # A layer of it is square: nothing but the family tells which side is the input.
    "gpt_oss, square": lambda: GptOssForCausalLM(GptOssConfig(
        **{**SIZES, "intermediate_size": 32}, head_dim=8, num_local_experts=4, num_experts_per_tok=2,
        layer_types=["full_attention"] * 2)),
    "llama4": lambda: Llama4ForCausalLM(Llama4TextConfig(
        **SIZES, intermediate_size_mlp=48, head_dim=8, num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=1,
        no_rope_layers=[1, 1], layer_types=["full_attention"] * 2, pad_token_id=0)),
}
ROUTERS = (".gate.weight", ".router.weight")


def change(name, parameter, skipped):
    """Adds a random matrix of rank 3 to every matrix that is not skipped."""
    matrices = parameter if parameter.dim() == 3 else parameter[None]
    for index, matrix in enumerate(matrices):
        if not skipped(name, index):
            matrix += 0.02 * torch.randn(matrix.shape[0], 3) @ torch.randn(3, matrix.shape[1])


def pair(folder, make, skipped=lambda name, index: False):
    torch.manual_seed(0)
    model = make().float()
    model.save_pretrained(folder / "base")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 3 or name.endswith(ROUTERS) or name.endswith("_proj.weight"):
                change(name, parameter, skipped)
    model.save_pretrained(folder / "tuned")


def saved(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def with_adapter(base, adapter):
    """PEFT's model; any warning is a failure but one: PEFT looks for patterns of ranks among modules, not among parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r"The following (rank|alpha)_pattern keys .*(gate_up|down)_proj")
        return PeftModel.from_pretrained(saved(base), str(adapter)).eval()


def distance(model, other, base):
    """Between two models' outputs, over that of the second to the base model's."""
    outputs = [logits(m) for m in (model, other, base)]
    return ((outputs[0] - outputs[1]).norm() / (outputs[1] - outputs[2]).norm()).item()


def parts_stay(name, index):
    """One expert of a parameter, another parameter of its layer, and the router of a layer do not change."""
    return ("layers.0" in name and "gate_up_proj" in name and index == 1 or "layers.1" in name and "down_proj" in name
            or "layers.0" in name and name.endswith(ROUTERS))


def extracted_experts_load(folder):
    worst = 0
    for family, make in FAMILIES.items():
        for kind, skipped in (("all", lambda name, index: False), ("parts", parts_stay),
                              ("experts alone", lambda name, index: "experts" not in name)):
            here = folder / f"{family} {kind}"
            pair(here, make, skipped)
            extract(here / "base", here / "tuned", here / "adapter", "--rank", 8)
            extract(here / "base", here / "tuned", here / "two", "--rank", 8, ranks=2)
            name = "adapter_model.safetensors"
            require((here / "adapter" / name).read_bytes() == (here / "two" / name).read_bytes(), f"{family}: two ranks differ")
            error = distance(with_adapter(here / "base", here / "adapter"), saved(here / "tuned"), saved(here / "base"))
            require(error < 2e-5, f"{family}, {kind}: outputs differ by {error:.1e}")
            worst = max(worst, error)
    return f"{len(FAMILIES)} families, base + adapter within {worst:.0e} of the fine-tune"


def experts_of_folders_load(folder):
    """Ranks of the rules' choice, which differ from expert to expert, and another alpha."""
    worst = 0
    for family, make in FAMILIES.items():
        here = folder / family
        pair(here, make, parts_stay)
        unbraid("decompose", here / "base", here / "tuned", "-o", here / "triplets", "--rank", 8)
        unbraid("joint", here / "base", here / "tuned", "-o", here / "joint", "--rank", 32)
        for kind, source, options in (("energy", "triplets", ["--energy", 0.7]), ("alpha", "triplets", ["--alpha", 12]),
                                      ("of joint", "joint", [])):
            unbraid("adapter", here / source, "-o", here / kind, *options)
            unbraid("merge", here / "base", here / kind, "-o", here / f"{kind} merged")
            error = distance(with_adapter(here / "base", here / kind), saved(here / f"{kind} merged"), saved(here / "base"))
            require(error < 2e-5, f"{family}, {kind}: outputs differ by {error:.1e}")
            worst = max(worst, error)
            whole = distance(saved(here / f"{kind} merged"), saved(here / "tuned"), saved(here / "base"))
            require((whole < 2e-5) == (kind != "energy"), f"{family}, {kind}: the merged model is {whole:.1e} from the fine-tune")
    return f"base + adapter within {worst:.0e} of the merged model"


def chosen_experts_load(folder):
    """Of experts that are modules PEFT takes all of a layer or none: those that were not chosen are zeros."""
    worst = 0
    for family, options in (
            ("qwen3_moe", ["--targets", "gate_proj,up_proj"]), ("qwen3_moe", ["--targets", "gate_proj,q_proj"]),
            ("qwen3_moe", ["--include", r"experts\.0\."]), ("mixtral", ["--exclude", r"experts\.1\."]),
            ("mixtral", ["--include", "w2"]), ("granitemoe", ["--include", r"input_linear.weight\[1\]"]),
            ("llama4", ["--targets", "gate_up_proj"])):
        here = folder / f"{worst}{family}{options[-1]}".replace("\\", "")
        pair(here, FAMILIES[family])
        unbraid("decompose", here / "base", here / "tuned", "-o", here / "triplets", "--rank", 8)
        extract(here / "base", here / "tuned", here / "extracted", "--rank", 8, *options)
        unbraid("adapter", here / "triplets", "-o", here / "taken", *options)
        for adapter in ("extracted", "taken"):
            unbraid("merge", here / "base", here / adapter, "-o", here / f"{adapter} merged")
            error = distance(with_adapter(here / "base", here / adapter), saved(here / f"{adapter} merged"), saved(here / "base"))
            require(error < 2e-5, f"{family}, {options}: outputs differ by {error:.1e}")
            worst = max(worst, error)
    return f"base + adapter within {worst:.0e} of the merged model"


def budgets_of_experts_are_well_spent(folder):
    """More numbers never keep less of the energy than fewer at one rank for all."""
    figures = []
    for family in ("qwen3_moe", "mixtral", "gpt_oss"):
        here = folder / family
        pair(here, FAMILIES[family])
        unbraid("decompose", here / "base", here / "tuned", "-o", here / "triplets", "--rank", 8)
        kept = {}
        for name, options in (("fixed", ["--rank", 2]), ("budget", None)):
            if options is None:
                count = sum(t.numel() for t in load_file(here / "fixed/adapter_model.safetensors").values())
                options = ["--budget-parameters", count]
            unbraid("adapter", here / "triplets", "-o", here / name, *options)
            kept[name] = energy_kept(here / name)
            with_adapter(here / "base", here / name)
        require(kept["budget"] >= kept["fixed"] - 0.02, f"{family}: {kept}")
        figures.append(f"{family} {kept['fixed']:.3f} / {kept['budget']:.3f}")
    return "energy at rank 2 and of a budget of as many numbers: " + ", ".join(figures)


def energy_kept(folder):
    modules = json.loads((folder / "report.json").read_text())["modules"]
    return 1 - sum(m["writtenResidual"] ** 2 for m in modules) / sum(m["norm"] ** 2 for m in modules)


CHECKS = [extracted_experts_load, experts_of_folders_load, chosen_experts_load, budgets_of_experts_are_well_spent]
