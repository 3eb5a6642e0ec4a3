"""Holds `unbraid compare` against adapters that PEFT has merged and against singular vectors from PyTorch."""
import json

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.intruders import reduce_intruder_dimension
from transformers import AutoModelForCausalLM

from support import PAIRS, Skip, require, tiny_llama, unbraid


def compare(folder, *options):
    unbraid("compare", folder / "base", folder / "tuned", "-o", folder / "comparison", *options, ranks=2)
    return json.loads((folder / "comparison/comparison.json").read_text())["modules"]


def merge_lora(folder, dtype, rank, scale):
    """A base model and the same with a LoRA adapter that PEFT has merged in the weights' own type."""
    torch.manual_seed(5)
    base = tiny_llama(num_hidden_layers=3, hidden_size=96, intermediate_size=160).to(dtype)
    base.save_pretrained(folder / "base")
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * scale)
    model.merge_and_unload().save_pretrained(folder / "tuned")


def ranks_of_merged_adapters(folder):
    cases = [(torch.float32, 1, 1e-3), (torch.float32, 12, 0.1), (torch.bfloat16, 2, 0.05), (torch.bfloat16, 8, 0.05),
             (torch.bfloat16, 16, 0.1), (torch.float16, 4, 0.02), (torch.float16, 24, 0.05)]
    for number, (dtype, rank, scale) in enumerate(cases):
        place = folder / str(number)
        place.mkdir()
        merge_lora(place, dtype, rank, scale)
        for module in compare(place):
            update = module["update"]
            require((update["verdict"], update["rank"]) == ("exact", rank),
                    f"{dtype}, rank {rank}, {module['module']}: {update}")
    return f"{len(cases)} adapters of rank 1 to 24 in F32, BF16 and F16, 21 modules each"


def ranks_say_what_is_hidden(folder):
    merge_lora(folder, torch.bfloat16, 8, 1e-3)
    verdicts = {module["update"]["verdict"] for module in compare(folder)}
    require(verdicts <= {"hidden", "unchanged", "at least"}, f"{verdicts} although rounding swallows the update")


def intruders_are_those_of_peft(folder):
    """PEFT counts them while it reduces them; strong adapters have some, weak ones none."""
    found = {}
    for scale in (0.005, 0.3):
        place = folder / str(scale)
        place.mkdir()
        torch.manual_seed(6)
        base = tiny_llama(num_hidden_layers=2, hidden_size=96, intermediate_size=160)
        base.save_pretrained(place / "base")
        model = get_peft_model(base, LoraConfig(r=4, lora_alpha=4, target_modules="all-linear"))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn_like(parameter) * scale)
        lines = []
        reduce_intruder_dimension(model, logging_sink=lines.append)
        model.set_adapter("default")
        model.merge_and_unload().save_pretrained(place / "tuned")
        theirs = {line.split(":")[0].removeprefix("base_model.model."): int(line.split()[-1].replace("intruders", "0"))
                  for line in lines if "ntruders" in line}
        ours = {module["module"]: sum(direction["largestCosine"] < 0.5 for direction in module["intruders"]["directions"])
                for module in compare(place)}
        require(ours == theirs, f"{ours} instead of {theirs}")
        found[scale] = sum(ours.values())
    require(found[0.005] == 0 < found[0.3], f"{found}")
    return f"{found[0.3]} of a strong adapter, none of a weak one"


def trained_model_has_no_rank(folder):
    if not (PAIRS / "pairs/tinyllama-base").exists():
        raise Skip("no ../shared/data beside the checkout")
    for name in ("base", "tuned"):
        (folder / name).symlink_to(PAIRS / f"pairs/tinyllama-{'base' if name == 'base' else 'ft'}")
    modules = compare(folder)
    require(all(module["update"]["verdict"] != "exact" for module in modules), "a full fine-tune is no adapter")
    base, tuned = (AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32) for name in ("base", "tuned"))
    worst = 0
    for module in modules:
        left, _, _ = torch.linalg.svd(base.get_submodule(module["module"]).weight.detach().double(), full_matrices=False)
        new, values, _ = torch.linalg.svd(tuned.get_submodule(module["module"]).weight.detach().double(), full_matrices=False)
        cosines = (new[:, :10].T @ left).abs().amax(1)
        for direction, cosine, value in zip(module["intruders"]["directions"], cosines, values):
            worst = max(worst, abs(direction["largestCosine"] - cosine.item()), abs(direction["singularValue"] / value.item() - 1))
    require(worst < 1e-6, f"cosines differ by {worst:.1e}")
    count = sum(direction["largestCosine"] < 0.5 for module in modules for direction in module["intruders"]["directions"])
    return f"{len(modules)} modules, cosines within {worst:.0e}, {count} intruders"


CHECKS = [ranks_of_merged_adapters, ranks_say_what_is_hidden, intruders_are_those_of_peft, trained_model_has_no_rank]
