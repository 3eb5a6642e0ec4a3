"""Holds `unbraid scan` against Spectrum's algorithm in PyTorch, run on the models that Transformers loads, and NumPy."""
import json
import math

import numpy
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from support import PAIRS, Skip, require, tiny_llama, unbraid

ALWAYS = "unfrozen_parameters:\n- ^lm_head.weight$\n- ^model.embed_tokens.weight$\n"


def kind(name):
    """What follows the first number of a module's name."""
    parts = name.split(".")
    layer = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    return name if layer is None else ".".join(parts[layer + 1:])


def ratio(weight):
    """Spectrum's signal-to-noise ratio, in single precision throughout."""
    matrix = torch.atleast_2d(weight)
    values = torch.linalg.svdvals(matrix)
    spread = (torch.quantile(values, 0.75) - torch.quantile(values, 0.25)) / 1.349
    aspect = min(matrix.shape) / max(matrix.shape)
    is_signal = values > spread * (1 + math.sqrt(aspect))
    noise = values[~is_signal].sum() if (~is_signal).any() else torch.tensor(1.0)
    return (values[is_signal].sum() / noise / values[0]).item()


def published(model):
    """Ratio and type of every module with a weight, types by first component and name, a later match overwriting."""
    weights = {name: module.weight.detach() for name, module in model.named_modules() if hasattr(module, "weight")}
    kinds = sorted({kind(name) for name in weights}, key=lambda text: (text.split(".")[0], text))
    found = {}
    for text in kinds:
        for name, weight in weights.items():
            if text in name:
                found[name] = {"snr": ratio(weight), "type": text}
    return found


def by_kind(results):
    kinds = {}
    for name, entry in results.items():
        kinds.setdefault(entry["type"], []).append((name, entry["snr"]))
    return {text: sorted(entries, key=lambda entry: entry[1], reverse=True) for text, entries in kinds.items()}


def selection(results, percent):
    text = ALWAYS
    for name, entries in by_kind(results).items():
        chosen = entries[:int(len(entries) * percent / 100)]
        text += f"# {name} layers\n" + "".join(f"- {module}\n" for module, _ in chosen)
    return text


def compare(model, folder, percent):
    """Files and numbers of a scan beside those of the algorithm; the largest relative difference of a ratio."""
    out = folder / "scan"
    unbraid("scan", folder / "model", "--name", "org/some_model", "--compat", "--top-percent", percent, "-o", out, ranks=2)
    base = "snr_results_org-some-model"
    text = (out / "model_snr_results" / f"{base}.json").read_text()
    ours, theirs = json.loads(text), published(model)
    require(list(ours) == list(theirs), "other modules, or another order")
    require(all(ours[name]["type"] == theirs[name]["type"] for name in ours), "other types")
    require(text == json.dumps(ours, indent=4), "not what json.dump writes")
    ordered = {name: dict(entries) for name, entries in by_kind(ours).items()}
    require((out / f"{base}_sorted.json").read_text() == json.dumps(ordered, indent=4), "the sorted file differs")
    chosen = (out / f"{base}_unfrozenparameters_{percent}percent.yaml").read_text()
    require(chosen == selection(ours, percent), "another text of the same selection")
    require(chosen == selection(theirs, percent), "another selection")
    worst = max(abs(ours[name]["snr"] / theirs[name]["snr"] - 1) for name in ours)
    require(worst < 5e-6, f"ratios differ by {worst:.1e}")
    return worst, len(ours)


def published_tool_on_tinyllama(folder):
    path = PAIRS / "pairs/tinyllama-base"
    if not path.exists():
        raise Skip("no ../shared/data beside the checkout")
    (folder / "model").symlink_to(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    worst, count = compare(model, folder, 50)
    return f"{count} modules, ratios within {worst:.0e} of single precision's, files equal"


def published_tool_on_tied_head(folder):
    torch.manual_seed(3)
    tiny_llama(tie_word_embeddings=True).to(torch.bfloat16).save_pretrained(folder / "model")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    worst, count = compare(model, folder, 25)
    return f"{count} modules, ratios within {worst:.0e}"


def largest_error(entry, values, matrix):
    """How far a module's measures and singular values are from NumPy's, relatively."""
    true = numpy.linalg.svd(matrix, compute_uv=False)
    share = true / true.sum()
    truths = {"largest": true[0], "smallest": true[-1], "norm": numpy.linalg.norm(matrix),
              "stableRank": (true ** 2).sum() / true[0] ** 2, "conditionNumber": true[0] / true[-1],
              "entropyRank": math.exp(-(share * numpy.log(share)).sum())}
    errors = [abs(entry["measures"][name] / truth - 1) for name, truth in truths.items()]
    return max(*errors, numpy.abs(values / true - 1).max())


def stored_weight(model, module):
    return model.get_submodule(module).weight.detach().double().numpy()


def spectra_in_double_precision(folder):
    """Singular values and measures are NumPy's, from the stored weights in double precision."""
    torch.manual_seed(4)
    model = tiny_llama(num_hidden_layers=3).to(torch.bfloat16)
    model.save_pretrained(folder / "model")
    unbraid("scan", folder / "model", "--name", "tiny", "-o", folder / "scan")
    values = load_file(folder / "scan/singular_values.safetensors")
    modules = json.loads((folder / "scan/spectra_tiny.json").read_text())["modules"]
    worst = max(largest_error(entry, values[entry["module"]], stored_weight(model, entry["module"])) for entry in modules)
    require(len(modules) == 21, "every linear layer, and nothing else")
    require(worst < 1e-9, f"differ by {worst:.1e}")
    return f"within {worst:.0e}"


def spectra_of_difference(folder):
    """The same of a fine-tune's difference, in which some modules did not change."""
    torch.manual_seed(5)
    base = tiny_llama(num_hidden_layers=3).to(torch.bfloat16)
    base.save_pretrained(folder / "base")
    tuned = tiny_llama(num_hidden_layers=3).to(torch.bfloat16)
    tuned.load_state_dict({name: weight + 0.01 * torch.randn_like(weight) if ".1." in name else weight
                           for name, weight in base.state_dict().items()})
    tuned.save_pretrained(folder / "tuned")
    unbraid("scan", folder / "base", folder / "tuned", "--name", "tiny", "-o", folder / "scan", ranks=2)
    values = load_file(folder / "scan/singular_values.safetensors")
    worst, changed = 0, 0
    for entry in json.loads((folder / "scan/spectra_tiny.json").read_text())["modules"]:
        name = entry["module"]
        difference = stored_weight(tuned, name) - stored_weight(base, name)
        if difference.any():
            changed += 1
            worst = max(worst, largest_error(entry, values[name], difference))
        else:
            zeros = ("largest", "norm", "stableRank", "entropyRank", "aboveEdge")
            require(not any(entry["measures"][zero] for zero in zeros), f"{name} did not change")
    require(changed == 7, f"{changed} modules changed, and must be the seven of one layer")
    require(worst < 1e-9, f"differ by {worst:.1e}")
    return f"within {worst:.0e}"


CHECKS = [published_tool_on_tinyllama, published_tool_on_tied_head, spectra_in_double_precision, spectra_of_difference]
