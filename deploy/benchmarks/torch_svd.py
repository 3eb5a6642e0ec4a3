#!/usr/bin/env python3
"""Times PyTorch's SVD of the tensor `matrix` in a safetensors file.

torch_svd.py full FILE --rank 32                torch.linalg.svd, of which the first triplets count
torch_svd.py lowrank FILE --rank 32 --runs 3    torch.svd_lowrank(q=2k, niter=2); --niter changes that

Prints `captured E`, the energy of the first k singular values, and on the last line the median seconds. One
untimed run comes first, unless --no-warm-up says otherwise."""

import argparse
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mode", choices=["full", "lowrank"])
parser.add_argument("file")
parser.add_argument("--rank", type=int, required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--niter", type=int, default=2)
parser.add_argument("--no-warm-up", action="store_true")
options = parser.parse_args()

# After the options, so that a wrong one is refused at once.
import torch
from safetensors.torch import load_file

torch.set_num_threads(options.threads)
torch.manual_seed(0)
matrix = load_file(options.file)["matrix"]


def decompose():
    start = time.perf_counter()
    if options.mode == "full":
        _, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    else:
        _, values, _ = torch.svd_lowrank(matrix, q=2 * options.rank, niter=options.niter)
    return time.perf_counter() - start, values


if not options.no_warm_up:
    decompose()
results = [decompose() for _ in range(max(1, options.runs))]
print("captured", results[-1][1][: options.rank].double().square().sum().item())
print(statistics.median(seconds for seconds, _ in results))
