"""Loads what `unbraid init` and `unbraid convert` write in PEFT and svd-training, and compares with their own."""
import json
import subprocess
import sys
import zipfile
from contextlib import contextmanager
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


def corda_config(folder, mode, rank):
    return LoraConfig(init_lora_weights="corda", r=rank, lora_alpha=rank, target_modules=TARGETS, task_type="CAUSAL_LM",
                      corda_config=CordaConfig(covariance_file=str(folder / "c.pt"), corda_method=mode))


def collect_covariances(folder, windows):
    """What PEFT's preprocess_corda finds on text, as its own file and as ours."""
    model = from_disk(BASE, torch.float32)

    @torch.no_grad()
    def run():
        for window in windows:
            model(input_ids=window[None])
    preprocess_corda(model, corda_config(folder, "ipm", 8), run_model=run)
    convert_covariances(folder / "c.pt", folder / "c.safetensors")


@contextmanager
def double_precision():
    """PEFT's own code where it says float."""
    single = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.Tensor.float = single
        torch.set_default_dtype(torch.float32)


def corda_equals_pefts_own(folder):
    """Both modes against PEFT's code in double precision, and ipm against PEFT as it is.

    In single precision the last triplets of W·C are mostly rounding, which PEFT's products for kpm then are too.
    """
    require_tinyllama()
    collect_covariances(folder, token_windows((PAIRS / "text/base_heldout.txt").read_text().split("\n\n\n"))[:64])
    figures = []
    for mode in ("ipm", "kpm"):
        unbraid("init", BASE, "--as", "corda", "--mode", mode, "--rank", "16", "--covariance", folder / "c.safetensors",
                "-o", folder / mode, ranks=2)
        ours = factors(folder / mode / "adapter")
        load(from_disk(folder / mode, torch.float32), folder / mode / "adapter")
        model = from_disk(BASE, torch.float32)
        with double_precision():
            preprocess_corda(model, corda_config(folder, mode, 16))
            figures.append(f"{mode}: {compare(ours, peft_factors(get_peft_model(model, corda_config(folder, mode, 16))), 1e-3)}")
    for mode in ("ipm", "kpm"):
        model = from_disk(BASE, torch.float32)
        preprocess_corda(model, corda_config(folder, mode, 16))
        theirs = peft_factors(get_peft_model(model, corda_config(folder, mode, 16)))
        off = max(((b @ a - theirs[n][1] @ theirs[n][0]).norm() / (b @ a).norm()).item()
                  for n, (a, b) in factors(folder / mode / "adapter").items())
        require(mode == "kpm" or off < 1e-2, f"in single precision PEFT's products for {mode} are off by {off:.1e}")
        figures.append(f"PEFT's products for {mode} in single precision are off by up to {off:.1e}")
    return "; ".join(figures)


def held_out_loss(model, windows):
    with torch.no_grad():
        losses = [model(input_ids=batch, labels=batch).loss.item() * len(batch) for batch in windows.split(16)]
    return sum(losses) / len(windows)


def corda_keeps_more(folder):
    """CorDA's first experiment: without the smallest components, text like that of the covariances suffers less.

    The residual models are what is left without them: milora and kpm take the smallest components out.
    """
    require_tinyllama()
    windows = token_windows((PAIRS / "text/base_heldout.txt").read_text().split("\n\n\n"))
    seen, held_out = windows[::2][:160], windows[1::2][:160]
    collect_covariances(folder, seen)
    figures = [f"loss {held_out_loss(from_disk(BASE, torch.float32), held_out):.5f}"]
    for fraction in ("0.25", "0.5"):
        losses = []
        for method in (["milora"], ["corda", "--mode", "kpm", "--covariance", folder / "c.safetensors"]):
            output = folder / f"{method[0]}-{fraction}"
            unbraid("init", BASE, "--as", *method, "--rank-fraction", fraction, "-o", output, ranks=2)
            losses.append(held_out_loss(from_disk(output, torch.float32), held_out))
        figures.append(f"without the smallest {float(fraction):.0%} of the plain SVD {losses[0]:.5f}, of CorDA's {losses[1]:.5f}")
        require(losses[1] < losses[0], "; ".join(figures))
    return f"{len(seen)} and {len(held_out)} windows: " + "; ".join(figures)


def train(model, parameters, steps=3, rate=0.02):
    """A few steps that change what they are told to, enough to be seen."""
    optimizer = torch.optim.SGD(parameters, lr=rate)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        tokens = torch.randint(0, 64, (4, 16), generator=generator)
        optimizer.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
    return model.eval()


def converted_adapter_is_the_trained_one(folder):
    """A trained adapter of a residual model, converted, does to the original model what it does to the residual one."""
    saved_base(folder)
    worst = 0
    for method in RESIDUAL_METHODS:
        here = folder / method
        unbraid("init", folder / "base", "--as", method, "--rank", "4", "-o", here)
        model = PeftModel.from_pretrained(from_disk(here), str(here / "adapter"), is_trainable=True)
        untrained = logits(model)
        train(model, [p for p in model.parameters() if p.requires_grad], rate=0.5)
        truth = logits(model)
        require((truth - untrained).abs().max() > 0.01, "training changed nothing")
        model.save_pretrained(here / "trained")
        unbraid("convert", here / "trained", here, "-o", here / "plain")
        plain = load(from_disk(folder / "base"), here / "plain")
        worst = max(worst, (logits(plain) - truth).abs().max().item())
        # PEFT's own conversion, from the same initial adapter.
        model.save_pretrained(here / "pefts", path_initial_model_for_weight_conversion=str(here / "adapter"))
        ours, theirs = load_file(here / "plain/adapter_model.safetensors"), load_file(here / "pefts/adapter_model.safetensors")
        require(ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours), "PEFT converts otherwise")
        require(json.loads((here / "plain/adapter_config.json").read_text())["base_model_name_or_path"] == str(folder / "base"),
                "the base model is another")
        unbraid("convert", here / "trained", here / "adapter", "--rank", "6", "-o", here / "cut")
        exact, cut = factors(here / "plain"), factors(here / "cut")
        for name, (a, b) in exact.items():
            best = torch.linalg.svdvals(b @ a)[6:].norm()
            left = (b @ a - cut[name][1] @ cut[name][0]).norm()
            require(left <= best * 1.0001 + 1e-6 * (b @ a).norm(), f"{name}: {left} is left, {best} would be best")
        load(from_disk(folder / "base"), here / "cut")
    require(worst < 1e-4, f"logits differ by {worst}")
    return f"logits differ by {worst:.1e}"


def lora_xs_is_the_svd(folder):
    """A = ΣVᵀ, B = U, and a small R; converted, an adapter of s·B·R·A."""
    base = saved_base(folder)
    unbraid("init", folder / "base", "--as", "lora-xs", "--rank", "4", "-o", folder / "xs")
    tensors = load_file(folder / "xs/adapter/adapter_model.safetensors")
    updates = {}
    for name, (a, b) in factors(folder / "xs/adapter").items():
        weight = base.get_submodule(name).weight.detach().double()
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
        require(((b.T @ b) - torch.eye(4)).abs().max() < 1e-5, f"{name}: B is not orthonormal")
        require((a.norm(dim=1) - s[:4]).abs().max() < 1e-5, f"{name}: the rows of A are not as long as σ")
        require((b @ a - u[:, :4] * s[:4] @ vh[:4]).norm() < 1e-5 * s[0], f"{name}: B·A is not the best rank 4")
        key = f"base_model.model.{name}_lora_latent_mapping.weight"
        require(tensors[key].shape == (4, 4) and 2e-6 < tensors[key].std() < 5e-5, f"{name}: R is {tensors[key]}")
        tensors[key] = torch.randn(4, 4) / 8
        updates[name] = b @ tensors[key].double() @ a
    require(json.loads((folder / "xs/reconstr_config.json").read_text())["svd"]["rank"] == 4, "reconstr_config.json")
    load(from_disk(folder / "base"), folder / "xs/adapter")
    trained = folder / "trained"
    trained.mkdir()
    (trained / "adapter_config.json").write_bytes((folder / "xs/adapter/adapter_config.json").read_bytes())
    save_file(tensors, trained / "adapter_model.safetensors")
    unbraid("convert", trained, folder / "xs", "-o", folder / "plain")
    merged = load(from_disk(folder / "base"), folder / "plain").merge_and_unload()
    worst = max((merged.get_submodule(n).weight.detach() - base.get_submodule(n).weight.detach() - update).abs().max().item()
                for n, update in updates.items())
    require(worst < 1e-5, f"a weight is off by {worst}")


def svd_training_package():
    """The package's classes; it wants old versions of others, so it comes without them."""
    cache = Path(sys.prefix).parent / "consumer-models"
    download = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(cache), "svd-training==0.0.2"],
                              capture_output=True, text=True)
    if download.returncode != 0:
        raise Skip("svd-training could not be downloaded")
    if sys.version_info >= (3, 13):
        raise Skip("svd-training assigns to locals with exec(), which Python 3.13 no longer does")
    for wheel in cache.glob("svd_training-*.whl"):
        zipfile.ZipFile(wheel).extractall(cache / "svd-training")
    sys.path.insert(0, str(cache / "svd-training"))
    from svd_training.svd_model import SVDForCausalLM
    return SVDForCausalLM


def svd_training_loads_and_merges(folder):
    """The package's own class takes our tensors; its merge() gives the weights back, ours gives its after training."""
    package = svd_training_package()
    worst = 0
    for dtype in (torch.float32, torch.bfloat16):
        here = folder / str(dtype)
        base = saved_base(here, dtype=dtype)
        weights = {name: tensor.double() for name, tensor in base.state_dict().items()}
        unbraid("init", here / "base", "--as", "svd-training", "--rank-fraction", "0.2", "-o", here / "svd")
        require([p.name for p in (here / "svd").glob("*.safetensors")] == ["svd_decomposed.safetensors"], "a model's file name")
        require(not (here / "svd/config.json").exists(), "a configuration makes it look like a model")
        ours = load_file(here / "svd/svd_decomposed.safetensors")
        model = package.create_from_model(from_disk(here / "base", torch.float32), 0.2)
        result = model.load_state_dict(ours, strict=False)
        require(not result.unexpected_keys and not result.missing_keys, f"{result}")
        sigmas = [n for n, p in model.named_parameters() if n.endswith(".sigma")]
        require(len(sigmas) == 12 * 7 + 1, f"{len(sigmas)} modules")
        model.merge()
        for name, tensor in model.state_dict().items():
            residual = ours[name]
            limit = half_ulp(residual, dtype) + 1e-6 * weights[name].abs().max()
            error = (tensor.double() - weights[name]).abs()
            require((error <= limit).all(), f"{dtype} {name}: {error.max()} beside {limit.max()}")
            worst = max(worst, error.max().item())
        model = package.create_from_model(from_disk(here / "base", torch.float32), 0.2)
        model.load_state_dict(ours, strict=False)
        train(model, [p for n, p in model.named_parameters() if n.endswith(".sigma")], rate=5)
        save_file({n: p.detach().contiguous() for n, p in model.state_dict().items()}, here / "all.safetensors")
        save_file({n: p.detach().contiguous() for n, p in model.state_dict().items() if n.endswith(".sigma")},
                  here / "sigma.safetensors")
        model.merge()
        for name in ("all", "sigma"):
            unbraid("convert", here / f"{name}.safetensors", here / "svd", "-o", here / name)
            merged = from_disk(here / name)
            for key, tensor in model.state_dict().items():
                require(merged.state_dict()[key].dtype == dtype, "the type changed")
                rounding = half_ulp(tensor.to(dtype), dtype) + 1e-5 * tensor.abs().max()
                require(((merged.state_dict()[key].double() - tensor.double()).abs() <= rounding).all(), f"{name} {key}")
        change = max((model.state_dict()[n + ".weight"].double() - weights[n + ".weight"]).abs().max().item()
                     for n in [s.removesuffix(".sigma") for s in sigmas])
        require(change > 1e-3, "training changed nothing")
    return f"weights come back to {worst:.1e}"


CHECKS = [sum_is_exact_to_the_last_rounding, conv1d_is_transposed, factors_equal_pefts_own, corda_equals_pefts_own,
          corda_keeps_more, converted_adapter_is_the_trained_one, lora_xs_is_the_svd, svd_training_loads_and_merges]
