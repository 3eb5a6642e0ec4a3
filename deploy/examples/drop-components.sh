#!/usr/bin/env bash
# Drops components of a joint decomposition and measures what that does: the worked example of README.md.
#
#   deploy/examples/drop-components.sh BASE TUNED WORK COMMAND...
#
# BASE and TUNED are a model and its fine-tune, WORK a folder to be made. COMMAND is called once with the two models
# and then once with BASE and all adapters; it prints a line for each of them, such as a held-out loss. UNBRAID names
# the program (.build/release/unbraid). On the pair that the figures in README.md are of:
#
#   deploy/examples/drop-components.sh ../shared/data/pairs/tinyllama-{base,ft} /tmp/components \
#     "$python" ../shared/tools/eval_ppl.py --n 256
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 64; }
base=$1 tuned=$2 work=$3
shift 3
[ ! -e "$work" ] || { echo "$work: is there already; give another folder" >&2; exit 65; }
unbraid=${UNBRAID:-$(dirname "${BASH_SOURCE[0]}")/../../.build/release/unbraid}
mkdir -p "$work"

groups=(q_proj k_proj v_proj o_proj gate_proj up_proj down_proj)

# The same numbers of every group, as a list for --keep and --drop.
of_all() { local group; for group in "${groups[@]}"; do printf '%s:%s,' "$group" "$1"; done; }

adapters=()
adapter() { # NAME DECOMPOSITION [OPTIONS]
  "$unbraid" adapter "$work/$2" -o "$work/$1" "${@:3}"
  adapters+=("$work/$1")
}

"$unbraid" joint "$base" "$tuned" -o "$work/whole" --method shared --rank 100000 --no-compare >/dev/null
"$unbraid" joint "$base" "$tuned" -o "$work/shared" --method shared --rank 32 --no-compare
"$unbraid" components "$work/shared" --top 4

adapter all-linear whole
adapter shared-32 shared
adapter without-the-first shared --drop "$(of_all 0)"
adapter without-the-first-8 shared --drop "$(of_all 0-7)"
adapter the-first-8 shared --keep "$(of_all 0-7)"
adapter without-the-last-8 shared --drop "$(of_all 24-31)"
adapter halved-first-8 shared --scale "$(of_all 0-7)=0.5"
# What a smaller dose of everything does: an edit has to do better than that.
adapter all-times-0.9 shared --scale "$(of_all 0-)=0.9"
adapter all-times-0.7 shared --scale "$(of_all 0-)=0.7"
adapter all-times-0.5 shared --scale "$(of_all 0-)=0.5"

for model in "$base" "$tuned"; do "$@" "$model"; done
"$@" "$base" "${adapters[@]}"
