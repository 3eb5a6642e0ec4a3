"""What the consumer checks share: tiny models, extractions, PEFT without warnings."""
import os
import subprocess
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_num_threads(1)
REPOSITORY = Path(__file__).resolve().parents[2]
PAIRS = REPOSITORY.parent / "shared" / "data"


class Skip(Exception):
    """A check whose input is not there."""


def require(condition, sentence):
    if not condition:
        raise AssertionError(sentence)


def unbraid(*arguments, ranks=1):
    """Runs the program, which must succeed; what it said on standard error."""
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, os.environ["UNBRAID"], *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    require(done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
    return done.stderr


def extract(base, tuned, output, *options, ranks=1):
    unbraid("extract", base, tuned, "-o", output, *options, ranks=ranks)


def tiny_llama(**changes):
    settings = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=12, num_attention_heads=4,
                    num_key_value_heads=2, vocab_size=64, tie_word_embeddings=False)
    return LlamaForCausalLM(LlamaConfig(**{**settings, **changes}))


def perturb(model, chosen=lambda name: True, scale=0.05):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if chosen(name):
                parameter += scale * torch.randn_like(parameter)
    return model


def save_pair(folder, make, chosen=lambda name: True, dtype=torch.float32):
    """A base model, the same with chosen parameters changed, and their folders."""
    torch.manual_seed(0)
    base = make().to(dtype)
    base.save_pretrained(folder / "base")
    tuned = perturb(make(), lambda name: False)
    tuned.load_state_dict(base.state_dict())
    perturb(tuned.to(dtype), chosen).save_pretrained(folder / "tuned")
    return base.float(), tuned.float()


def load(base, adapter):
    """PEFT's model; any warning while loading is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # PEFT's own use of a Transformers attribute that will be renamed; no adapter can help it.
        warnings.filterwarnings("ignore", category=FutureWarning)
        return PeftModel.from_pretrained(base, str(adapter)).eval()


def is_linear(name):
    return name.endswith("_proj.weight")


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(12).view(1, 12)).logits
