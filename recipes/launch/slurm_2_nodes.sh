#!/usr/bin/env bash
# Two nodes of eight GPUs: sbatch recipes/launch/slurm_2_nodes.sh RECIPE [KEY=VALUE...]
# Run `crosstune data` and `crosstune tokenizer` on one machine first; the run folder must be on a shared file system.
#SBATCH --job-name=crosstune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --signal=B:TERM@120

set -euo pipefail
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# SIGTERM, two minutes before the time limit, makes training save a checkpoint and end; the same command goes on from it.
srun --export=ALL bash -c '
  exec accelerate launch \
    --config_file recipes/launch/one_node_8_gpus.yaml \
    --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * 8))" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$0" --main_process_port 29500 --rdzv_backend static \
    -m crosstune train "$@"
' "$head_node" "$@"
