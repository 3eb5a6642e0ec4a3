"""Loads what `unbraid export` writes for each consumer, and compares it with PEFT's view of the same adapter.

llama.cpp's and vLLM's files are held against their rules here, tensor by tensor; servers.py runs both.
"""
import json

import numpy
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import (GPT2Config, GPT2LMHeadModel, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3MoeConfig, Qwen3MoeForCausalLM)

from support import Skip, load, logits, require, tiny_llama, unbraid

VLLM_RANKS = [1, 8, 16, 32, 64, 128, 256, 320, 512]
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, tie_word_embeddings=False)


def small_llama(**changes):
    return tiny_llama(num_hidden_layers=2, **changes)


def qwen_moe():
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, moe_intermediate_size=24, num_experts=4, num_experts_per_tok=2,
                                              head_dim=8, decoder_sparse_step=1))


def save_adapter(folder, make, dtype=torch.float32, **settings):
    """A base model and a PEFT adapter with random factors, saved; the base and the logits of both together."""
    torch.manual_seed(0)
    base = make().float()
    base.save_pretrained(folder / "base")
    model = get_peft_model(base, LoraConfig(**{"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM", **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_((torch.randn_like(parameter) * 0.3).to(dtype))
    model.save_pretrained(folder / "adapter")
    truth = logits(model)
    deltas = {name.removeprefix("base_model.model."): (module.get_delta_weight("default").detach().double())
              for name, module in model.named_modules() if hasattr(module, "get_delta_weight") and module.r}
    return model.unload(), truth, deltas


def export(folder, profile, *options):
    return unbraid("export", folder / "adapter", "--for", profile, "-o", folder / profile, "--base", folder / "base", *options)


MIXED = dict(target_modules=["q_proj", "k_proj", "up_proj", "down_proj", "embed_tokens", "lm_head"], use_rslora=True,
             rank_pattern={"q_proj": 2, r"layers\.0\.mlp\.up_proj": 7}, alpha_pattern={"k_proj": 3})


def peft_loads_padded_ranks(folder):
    base, truth, _ = save_adapter(folder, small_llama, **MIXED)
    figures = []
    for profile in ("peft", "vllm", "all"):
        export(folder, profile)
        config = json.loads((folder / profile / "adapter_config.json").read_text())
        tensors = load_file(folder / profile / "adapter_model.safetensors")
        require(not config["use_rslora"], "use_rslora")
        if profile != "peft":
            require(config["r"] in VLLM_RANKS and config["rank_pattern"] == config["alpha_pattern"] == {}, "ranks")
            for name, tensor in tensors.items():
                require(name.endswith(("lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B")), name)
                require(tensor.shape[0 if name.removesuffix(".weight").endswith("A") else 1] == config["r"], name)
        fresh = small_llama()
        fresh.load_state_dict(base.state_dict())
        error = (logits(load(fresh, folder / profile)) - truth).abs().max().item()
        require(error < 2e-5, f"{profile}: logits differ by {error}")
        figures.append(f"{profile} {error:.1e}")
    return "logits differ by " + ", ".join(figures)


def vllm_gets_experts_as_modules(folder):
    _, _, deltas = save_adapter(folder, qwen_moe, target_modules=["q_proj"],
                                target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])
    export(folder, "vllm")
    config = json.loads((folder / "vllm/adapter_config.json").read_text())
    tensors = load_file(folder / "vllm/adapter_model.safetensors")
    scale = config["lora_alpha"] / config["r"]
    experts = [n for n in tensors if ".experts." in n]
    require(len(experts) == 2 * 4 * 3 * 2, f"{len(experts)} tensors of experts")
    for layer in range(2):
        prefix = f"model.layers.{layer}.mlp.experts"
        fused = deltas[f"{prefix}.base_layer"], deltas[prefix]
        for expert in range(4):
            def update(name):
                key = f"base_model.model.{prefix}.{expert}.{name}.lora_"
                return scale * tensors[key + "B.weight"].double() @ tensors[key + "A.weight"].double()
            both = torch.cat([update("gate_proj"), update("up_proj")])
            for found, true in ((both, fused[0][expert]), (update("down_proj"), fused[1][expert])):
                require((found - true).abs().max() < 1e-5, f"expert {expert} of layer {layer}")


def gguf_tensors(path):
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise Skip(str(error)) from error
    reader = GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    return fields, {t.name: (list(map(int, t.shape)), numpy.array(t.data, dtype=numpy.float64)) for t in reader.tensors}


def interleaved(weight, heads):
    """What llama.cpp's converter does to the rows of a rotated projection, by its definition."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def check_gguf(folder, architecture, deltas, truth_by_name):
    """Compares every pair of a GGUF file with updates by llama.cpp's rules; deltas that are not named fail."""
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map
    fields, tensors = gguf_tensors(folder / "llama.cpp/adapter.gguf")
    require(fields["general.type"] == "adapter" and fields["adapter.type"] == "lora", f"{fields}")
    require(fields["general.architecture"] == architecture, fields["general.architecture"])
    arch = next(key for key, name in MODEL_ARCH_NAMES.items() if name == architecture)
    require(isinstance(arch, MODEL_ARCH), architecture)
    names = get_tensor_name_map(arch, 2)
    worst, seen = 0, set()
    for name in tensors:
        if not name.endswith(".lora_a"):
            continue
        stem = name.removesuffix(".lora_a")
        (shape_a, a), (shape_b, b) = tensors[name], tensors[stem + ".lora_b"]
        alpha = fields["adapter.lora.alpha"]
        scale = alpha / shape_b[0] if alpha else 1
        source, true = truth_by_name(stem)
        require(names.get_name(source) == stem.removesuffix(".weight"), f"{source} is not {stem}")
        if stem == "token_embd.weight":
            require(shape_a == [shape_b[0], true.shape[0]] and shape_b[1] == true.shape[1], f"{shape_a} {shape_b}")
            found = scale * a @ b.T
        else:
            require(shape_a[0] == true.shape[-1] and shape_b[1] == true.shape[-2] and shape_a[1] == shape_b[0], stem)
            found = scale * b @ a
        worst = max(worst, float(numpy.abs(found - true.numpy()).max()))
        seen.add(source)
    require(worst < 1e-5, f"an update differs by {worst}")
    return worst, seen


def gguf_of_llama(folder):
    _, _, deltas = save_adapter(folder, small_llama, **MIXED)
    export(folder, "llama.cpp")
    table = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}

    def truth(stem):
        if stem in ("token_embd.weight", "output.weight"):
            path = "model.embed_tokens" if stem.startswith("token") else "lm_head"
            return path, deltas[path]
        _, layer, leaf, _ = stem.split(".")
        path = f"model.layers.{layer}.{table[leaf]}"
        heads = {"attn_q": 4, "attn_k": 2}.get(leaf)
        return path, interleaved(deltas[path], heads) if heads else deltas[path]
    worst, seen = check_gguf(folder, "llama", deltas, truth)
    require(seen == set(deltas), f"{set(deltas) ^ seen}")
    return f"updates differ by {worst:.1e}"


def gguf_of_other_families(folder):
    def qwen2():
        return Qwen2ForCausalLM(Qwen2Config(**SIZES))

    def phi3():
        return Phi3ForCausalLM(Phi3Config(**SIZES, pad_token_id=0))

    def gpt2():
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=32))
    families = [
        ("qwen2", qwen2, ["q_proj", "k_proj", "o_proj"], {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
                                                         "attn_output": "self_attn.o_proj"}, "model.layers"),
        ("phi3", phi3, ["qkv_proj", "gate_up_proj"], {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
         "model.layers"),
        ("gpt2", gpt2, ["c_attn", "c_fc"], {"attn_qkv": "attn.c_attn", "ffn_up": "mlp.c_fc"}, "transformer.h"),
    ]
    figures = []
    for architecture, make, targets, table, stem in families:
        here = folder / architecture
        here.mkdir()
        _, _, deltas = save_adapter(here, make, target_modules=targets, fan_in_fan_out=architecture == "gpt2")
        export(here, "llama.cpp")

        def truth(name, table=table, stem=stem, deltas=deltas, architecture=architecture):
            _, layer, leaf, _ = name.split(".")
            path = f"{stem}.{layer}.{table[leaf]}"
            # GPT-2's converter turns its matrices round.
            return path, deltas[path].T if architecture == "gpt2" else deltas[path]
        worst, seen = check_gguf(here, architecture, deltas, truth)
        require(seen == set(deltas), f"{architecture}: {set(deltas) ^ seen}")
        figures.append(f"{architecture} {worst:.1e}")
    return "updates differ by " + ", ".join(figures)


def gguf_of_experts(folder):
    _, _, deltas = save_adapter(folder, qwen_moe, target_modules=["q_proj"],
                                target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])
    export(folder, "llama.cpp")

    def truth(stem):
        _, layer, leaf, _ = stem.split(".")
        layer = f"model.layers.{layer}"
        if leaf == "attn_q":
            return f"{layer}.self_attn.q_proj", deltas[f"{layer}.self_attn.q_proj"]
        experts = f"{layer}.mlp.experts"
        gate_up = deltas[f"{experts}.base_layer"]
        half = gate_up.shape[1] // 2
        return {"ffn_gate_exps": (f"{experts}.gate_proj", gate_up[:, :half]),
                "ffn_up_exps": (f"{experts}.up_proj", gate_up[:, half:]),
                "ffn_down_exps": (f"{experts}.down_proj", deltas[experts])}[leaf]
    worst, seen = check_gguf(folder, "qwen3moe", deltas, truth)
    require(len(seen) == 8, f"{sorted(seen)}")
    return f"updates differ by {worst:.1e}"


def mlx_logits(folder):
    """mlx-lm's own model with its own loader of adapters: logits without and with the adapter."""
    try:
        import mlx.core as mx
        from mlx_lm.tuner.utils import load_adapters
        from mlx_lm.utils import load_model
    except ImportError as error:
        raise Skip(str(error)) from error
    # Transformers 5 writes what mlx-lm reads under other names.
    path = folder / "base/config.json"
    config = json.loads(path.read_text())
    config.setdefault("rope_theta", config.get("rope_parameters", {}).get("rope_theta", 10000.0))
    config.setdefault("num_experts", config.get("num_local_experts", 0))
    path.write_text(json.dumps(config))
    model, _ = load_model(folder / "base")
    tokens = mx.arange(12).reshape(1, 12)
    before = torch.tensor(numpy.array(model(tokens)))
    load_adapters(model, str(folder / "mlx"))
    model.eval()
    return before, torch.tensor(numpy.array(model(tokens)))


def mlx_computes_what_peft_does(folder):
    figures = []
    for name, make, settings in (
            ("llama", small_llama, MIXED),
            ("experts", qwen_moe, dict(target_modules=["q_proj", "o_proj"],
                                       target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]))):
        here = folder / name
        here.mkdir()
        base, truth, _ = save_adapter(here, make, **settings)
        export(here, "mlx")
        before, after = mlx_logits(here)
        unchanged = (before - logits(base)).abs().max().item()
        require((before - truth).abs().max() > 0.1, "the adapter changes nothing")
        error = (after - truth).abs().max().item()
        require(error < 1e-3, f"{name}: logits differ by {error}, without the adapter by {unchanged}")
        figures.append(f"{name} {error:.1e}, without the adapter {unchanged:.1e}")
    return "logits differ by " + "; ".join(figures)


CHECKS = [peft_loads_padded_ranks, vllm_gets_experts_as_modules, gguf_of_llama, gguf_of_other_families, gguf_of_experts,
          mlx_computes_what_peft_does]
