"""Tiny models of the families that `unbraid export` writes for llama.cpp, with adapters of all that it applies in them."""
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = dict(hidden_size=128, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, tie_word_embeddings=False)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
MIXTRAL = dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None)
# Neither llama.cpp nor vLLM knows more of these families than their published models have.
GEMMA = dict(head_dim=32, query_pre_attn_scalar=32, tie_word_embeddings=True)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=32, n_ctx=32, vocab_size=64)

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
DENSE = ["gate_proj", "up_proj", "down_proj"]
ENDS = ["embed_tokens", "lm_head"]
ALL = dict(target_modules=ATTENTION + DENSE + ENDS)
# A head that is the embedding has no adapter of its own.
TIED = dict(target_modules=ATTENTION + DENSE)
FUSED = dict(target_modules=ATTENTION + ENDS,
             target_parameters=["mlp.gate.weight", "mlp.experts.gate_up_proj", "mlp.experts.down_proj"])
UNEVEN = dict(ALL, use_rslora=True, rank_pattern={"q_proj": 2, r"layers\.0\.mlp\.up_proj": 7}, alpha_pattern={"k_proj": 3})

# What differs from SIZES, and PEFT's settings.
FAMILIES = {
    "llama": ({}, UNEVEN),
    "mistral": (dict(sliding_window=None), ALL),
    "mixtral": (MIXTRAL, FUSED),
    "granite": ({}, ALL),
    "smollm3": (dict(pad_token_id=0), ALL),
    "olmo": (dict(clip_qkv=None), ALL),
    "olmo2": ({}, ALL),
    "olmoe": (dict(num_key_value_heads=4, num_experts=4, num_experts_per_tok=2, clip_qkv=None), FUSED),
    "qwen2": ({}, ALL),
    "qwen2_moe": (dict(EXPERTS, shared_expert_intermediate_size=40, decoder_sparse_step=1),
                  dict(FUSED, target_modules=ATTENTION + DENSE + ["shared_expert_gate"] + ENDS)),
    "qwen3": (dict(head_dim=32), ALL),
    "qwen3_moe": (dict(EXPERTS, head_dim=32, decoder_sparse_step=1, norm_topk_prob=True), FUSED),
    "phi3": (dict(pad_token_id=0), dict(target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj", *ENDS])),
    "gemma": (dict(head_dim=32, tie_word_embeddings=True), TIED),
    "gemma2": (GEMMA, TIED),
    "gemma3_text": (GEMMA, TIED),
    "starcoder2": ({}, dict(target_modules=ATTENTION + ["c_fc", "c_proj"] + ENDS)),
    "gpt2": (GPT2, dict(target_modules=["c_attn", "c_fc", "c_proj"], fan_in_fan_out=True)),
}


def tiny(family):
    changes, _ = FAMILIES[family]
    sizes = {} if family == "gpt2" else SIZES
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**sizes, **changes}))
