"""Holds `unbraid joint` against TensorLy: errors of Tucker and CP on real and planted stacks; and the adapter made of one, in PEFT."""
import itertools
import json

import numpy as np
import tensorly
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tensorly.decomposition import parafac, partial_tucker

from support import PAIRS, Skip, is_linear, load, logits, require, save_pair, tiny_llama, unbraid

tensorly.set_backend("numpy")
STARTS = 10


def planted_stack(shape, rank, noise, seed, tuned=1):
    """Known factors with columns of length 1, the tensor of their sum with growing weights, and noise of relative size `noise`."""
    random = np.random.default_rng(seed)
    sizes = ([tuned] if tuned > 1 else []) + list(shape)
    factors = [random.standard_normal((size, rank)) for size in sizes]
    factors = [factor / np.linalg.norm(factor, axis=0) for factor in factors]
    exact = tensorly.cp_to_tensor((np.linspace(1, 2, rank), factors))
    error = random.standard_normal(exact.shape)
    return factors, exact + noise * np.linalg.norm(exact) / np.linalg.norm(error) * error


def save_stack(folder, stack):
    """A base of zeros and models of one matrix a layer: differences are the stack exactly, but for single precision."""
    models = stack if stack.ndim == 4 else stack[None]

    def write(name, layers):
        path = folder / name
        path.mkdir(parents=True)
        tensors = {f"model.layers.{number}.mlp.up_proj.weight": np.ascontiguousarray(layer, np.float32)
                   for number, layer in enumerate(layers)}
        save_file(tensors, path / "model.safetensors")
        return path
    base = write("base", np.zeros_like(models[0]))
    return [base, *(write(f"tuned{number}", layers) for number, layers in enumerate(models))]


def joint(models, output, *options):
    """The record and the tensors of a decomposition."""
    unbraid("joint", *models, "-o", output, "--no-compare", *options)
    tensors = {}
    for file in output.glob("*.safetensors"):
        tensors.update(load_file(file))
    return json.loads((output / "decomposition.json").read_text()), tensors


def relative_error(group, tensors, stack):
    """‖X − X̂‖ / ‖X‖ by NumPy alone, which the record must agree with."""
    part = {name.removeprefix(group["name"] + "."): value.astype(float) for name, value in tensors.items()
            if name.startswith(group["name"] + ".")}
    if "core" in part:
        rebuilt = part["out_basis"] @ part["core"] @ part["in_basis"].T
    else:
        modes = [part["tuned"]] if "tuned" in part else []
        rebuilt = tensorly.cp_to_tensor((part["weights"], [*modes, part["layer"], part["out"], part["in"]]))
    error = np.linalg.norm(stack - rebuilt) / np.linalg.norm(stack)
    recorded = np.sqrt(sum(group["residuals"]) / sum(group["energies"]))
    require(abs(error - recorded) < 1e-5, f"the record says {recorded:.6f}, NumPy {error:.6f}")
    return error


def tucker_error(stack, rank):
    """TensorLy's, iterated until it stands still."""
    modes = list(range(stack.ndim - 2, stack.ndim))
    (core, factors), _ = partial_tucker(stack, rank=[rank, rank], modes=modes, n_iter_max=500, tol=1e-9)
    rebuilt = tensorly.tenalg.multi_mode_dot(core, factors, modes=modes)
    return np.linalg.norm(stack - rebuilt) / np.linalg.norm(stack)


def parafac_error(stack, rank):
    """The best of ten runs of TensorLy's, from random starts, in single precision: a sweep less than 1e-7 better is the last."""
    single = stack.astype(np.float32)
    runs = (parafac(single, rank, n_iter_max=500, init="random", tol=1e-7, random_state=seed, return_errors=True)
            for seed in range(STARTS))
    return min(float(errors[-1]) for _, errors in runs)


def match_score(found, truth):
    """The factor match score: cosines of matched columns, multiplied over the modes, averaged over the best matching."""
    cosines = np.prod([np.abs(one.T @ other) for one, other in zip(found, truth)], axis=0)
    count = cosines.shape[0]
    return max(cosines[np.arange(count), list(order)].mean() for order in itertools.permutations(range(count)))


def hold_against_tensorly(models, stack, folder, rank, components, *options):
    """Both errors beside TensorLy's, as text."""
    record, tensors = joint(models, folder / "tucker", "--rank", rank, *options)
    ours = relative_error(record["groups"][0], tensors, stack)
    theirs = tucker_error(stack, rank)
    require(ours - theirs <= 1e-4, f"Tucker: relative error {ours:.6f}, partial_tucker {theirs:.6f}")
    record, tensors = joint(models, folder / "cp", "--method", "cp", "--rank", components, *options)
    our_cp = relative_error(record["groups"][0], tensors, stack)
    their_cp = parafac_error(stack, components)
    require(our_cp - their_cp <= 1e-3, f"CP: relative error {our_cp:.6f}, best of {STARTS} parafac {their_cp:.6f}")
    return f"Tucker {ours:.6f} beside {theirs:.6f}, CP {our_cp:.6f} beside {their_cp:.6f}"


def planted_tensors(folder):
    found = []
    for tuned, noise in ((1, 0), (1, 0.05), (1, 0.2), (3, 0.2)):
        here = folder / f"{tuned}-{noise}"
        truth, stack = planted_stack((6, 40, 32), 5, noise, seed=4, tuned=tuned)
        models = save_stack(here, stack)
        text = hold_against_tensorly(models, stack, here, 5, 5)
        tensors = load_file(next((here / "cp").glob("*.safetensors")))
        modes = (["tuned"] if tuned > 1 else []) + ["layer", "out", "in"]
        score = match_score([tensors[f"mlp.up_proj.{mode}"] for mode in modes], truth)
        require(score > 0.99, f"noise {noise}, {tuned} models: factor match score {score:.4f}")
        found.append(f"noise {noise}, {tuned} models: {text}, match {score:.5f}")
    return "; ".join(found)


def tinyllama_stacks(folder):
    base, tuned = PAIRS / "pairs/tinyllama-base", PAIRS / "pairs/tinyllama-ft"
    if not base.exists():
        raise Skip("no ../shared/data beside the checkout")

    def matrices(path):
        for file in sorted(path.glob("*.safetensors")):
            with safe_open(file, "pt") as shard:
                yield from ((name, shard.get_tensor(name).double().numpy()) for name in shard.keys() if is_linear(name))
    old, new = dict(matrices(base)), dict(matrices(tuned))
    found = []
    for module in ("self_attn.q_proj", "mlp.gate_proj", "mlp.down_proj"):
        names = [f"model.layers.{layer}.{module}.weight" for layer in range(6)]
        stack = np.stack([new[name] - old[name] for name in names])
        target = module.split(".")[-1]
        found.append(f"{target}: " + hold_against_tensorly([base, tuned], stack, folder / target, 32, 4, "--targets", target))
    return "; ".join(found)


def adapters_of_components(folder):
    base, tuned = save_pair(folder, tiny_llama, is_linear)
    before = {name: value.detach().clone() for name, value in base.named_parameters()}
    target = logits(tuned)
    unbraid("joint", folder / "base", folder / "tuned", "-o", folder / "whole", "--rank", 64, "--no-compare")
    unbraid("adapter", folder / "whole", "-o", folder / "all")
    model = load(base, folder / "all")
    error = (logits(model) - target).abs().max()
    require(error < 1e-4, f"logits with all components differ by {error}")
    base = model.unload()
    edit = ["--drop", "q_proj:out0-3,in1", "--layers", "0-9"]
    unbraid("adapter", folder / "whole", "-o", folder / "part", *edit)
    unbraid("adapter", folder / "whole", "-o", folder / "rest", *edit, "--complement")
    merged = load(load(base, folder / "part").merge_and_unload(), folder / "rest").merge_and_unload()
    truth = dict(tuned.named_parameters())
    error = max((value - truth[name]).abs().max().item() for name, value in merged.named_parameters() if name in before)
    require(error < 1e-5, f"a part and its complement, merged by PEFT, differ from the fine-tune by {error}")
    return f"logits differ by {float(error):.1e}"


CHECKS = [planted_tensors, tinyllama_stacks, adapters_of_components]
