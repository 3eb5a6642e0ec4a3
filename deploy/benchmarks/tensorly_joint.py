#!/usr/bin/env python3
"""Times `unbraid joint` beside TensorLy on the stack of one module type of a pair, on one thread each.

UNBRAID=.build/release/unbraid tensorly_joint.py BASE TUNED --module q_proj --rank 32 --components 8

The program is timed as a whole, from its start to the last file: it reads the models, and computes exact residuals.
TensorLy gets the differences in memory, and only its decomposition is timed. Prints seconds and relative errors: of
the program the exact ones it records, of parafac the ones it reports itself."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("base", type=Path)
parser.add_argument("tuned", type=Path)
parser.add_argument("--module", required=True)
parser.add_argument("--rank", type=int, default=32)
parser.add_argument("--components", type=int, default=8)
parser.add_argument("--parafac-sweeps", type=int, default=100)
options = parser.parse_args()

# Before NumPy loads its BLAS, and after the options, so that a wrong one is refused at once.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "consumers"))
import numpy as np
import tensorly
from safetensors import safe_open
from tensorly.decomposition import parafac, partial_tucker
from tensors import joint


def matrices(folder):
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as shard:
            found.update({name: shard.get_tensor(name).float().numpy() for name in shard.keys()
                          if name.endswith(f".{options.module}.weight")})
    return found


def layer(name):
    return next(int(part) for part in name.split(".") if part.isdecimal())


base, tuned = matrices(options.base), matrices(options.tuned)
stack = np.stack([tuned[name] - base[name] for name in sorted(base, key=layer)])
norm = np.linalg.norm(stack)
print(f"{' x '.join(map(str, stack.shape))}, Tucker at {options.rank} x {options.rank}, {options.components} components")


def line(name, start, error):
    print(f"{name:42} {time.perf_counter() - start:9.2f} s  relative error {error:.6f}", flush=True)


def error_of(rebuilt):
    return np.linalg.norm(stack - rebuilt) / norm


def ours(method, rank):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        record, _ = joint([options.base, options.tuned], Path(folder) / "out", "--targets", options.module,
                          "--method", method, "--rank", rank, "--threads", 1)
        group = record["groups"][0]
        line(f"unbraid joint --method {method}", start, np.sqrt(sum(group["residuals"]) / sum(group["energies"])))


ours("tucker", options.rank)
# TensorLy's own defaults, and its fastest start.
for svd in ("truncated_svd", "randomized_svd"):
    start = time.perf_counter()
    (core, factors), _ = partial_tucker(stack, rank=[options.rank] * 2, modes=[1, 2], svd=svd, random_state=0)
    line(f"tensorly partial_tucker, svd={svd}", start, error_of(tensorly.tenalg.multi_mode_dot(core, factors, modes=[1, 2])))
ours("cp", options.components)
start = time.perf_counter()
cp, errors = parafac(stack, options.components, n_iter_max=options.parafac_sweeps, init="random", random_state=0,
                     return_errors=True)
line(f"tensorly parafac, {len(errors)} sweeps from one start", start, float(errors[-1]))
