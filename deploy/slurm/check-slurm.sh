#!/usr/bin/env bash
# Runs the batch scripts of this folder on a real SLURM cluster of hosts out of namespaces (deploy/slurm/cluster.sh).
#
#   deploy/slurm/check-slurm.sh           needs root, the packages of apt-packages-slurm.txt, and two minutes
#   deploy/slurm/check-slurm.sh --all     also loses a node under srun, which SLURM takes half a minute to notice
#
# UNBRAID_PRODUCTS names a folder with the built programs; without it they are built first.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cluster/checks.sh"

[ $# -eq 0 ] || [ "$*" = --all ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64; }

slurm=$repository/deploy/slurm
"$slurm/cluster.sh" possible >&2 || exit 69
# shellcheck source=deploy/slurm/checks.sh
source "$slurm/checks.sh"

say "a cluster of ten nodes"
start_check
trap end_slurm_check EXIT
since=$(seconds)
"$slurm/cluster.sh" up 10
passed "slurmctld and ten slurmd, $(since "$since") s"
prepare_inputs

say "jobs"
# Those that wait for SLURM's clock start first; the others run beside them.
start_stopped srun node1,node2
start_stopped mpirun node3,node4
start_killed srun node5,node6
start_killed mpirun node9,node10
check_extract srun
check_extract mpirun
check_joint
start_array
check_ends_with 65 "whose models are damaged" \
  "$slurm/extract.sbatch" "$work/damaged" "${pair[1]}" -o "$work/none"
check_ends_with 64 "whose command line is wrong (joint.sbatch)" "$slurm/joint.sbatch" --no-such-option
check_array
check_stopped srun
check_stopped mpirun
check_cancelled
check_sweep
check_no_output
check_lost_node mpirun
check_killed srun
check_killed mpirun
[ "${1:-}" != --all ] || check_lost_node srun
