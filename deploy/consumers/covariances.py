"""Turns covariances that PEFT saved with torch.save into a safetensors file for `unbraid init --as corda`.

python covariances.py PEFT_FILE OUTPUT.safetensors

PEFT_FILE is the covariance_file of CordaConfig, as preprocess_corda leaves it: a dictionary of one in x in matrix for
each module. Only tensors are unpickled.
"""
import sys

import torch
from safetensors.torch import save_file


def convert(source, target):
    matrices = torch.load(source, map_location="cpu", weights_only=True)
    save_file({name: matrix.contiguous() for name, matrix in matrices.items()}, target, metadata={"format": "pt"})


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    convert(*sys.argv[1:])
