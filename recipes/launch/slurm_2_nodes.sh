#!/usr/bin/env bash
# Two nodes of eight GPUs: sbatch recipes/launch/slurm_2_nodes.sh RECIPE [KEY=VALUE...], in the folder above recipes/.
# Run `crosstune data` and `crosstune tokenizer` on one machine first; the run folder must be on a shared file system.
#SBATCH --job-name=crosstune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Jobs that share a node each have a port of their own, below those that Linux gives away.
port=$((20000 + SLURM_JOB_ID % 10000))

# SIGTERM makes training save a checkpoint and end; the same command, or the same job requeued, goes on from it. SLURM
# sends it five minutes before the time limit, to all processes of the step (with `B:` to this shell alone, which would
# not tell them). torchrun hands it on, and kills after 30 seconds where it is not told otherwise.
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=240

# Since SLURM 22.05 a step does not ask for the job's --cpus-per-task by itself. Where training ends on one node, the
# other must not wait for it.
srun --export=ALL --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 bash -c '
  exec accelerate launch \
    --config_file recipes/launch/one_node_8_gpus.yaml \
    --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * SLURM_GPUS_ON_NODE))" \
    --machine_rank "$SLURM_NODEID" --main_process_ip "$0" --main_process_port "$1" --rdzv_backend static \
    -m crosstune train "${@:2}"
' "$head_node" "$port" "$@"
