#!/bin/bash
# Pretrain or fine-tune on SLURM, for any number of days: sbatch examples/slurm.sh pretrain videos/ --recipe NAME --out runs/a
#SBATCH --job-name=mgm
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8      # one process per GPU
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8        # data.workers reading processes and the training process
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300        # asks every process to save and end, five minutes before the time limit
#SBATCH --requeue                # after a preemption or the failure of a node, too
#SBATCH --open-mode=append       # one log for all parts of the run

# A process that is lost ends the others, which wait for it.
srun --kill-on-bad-exit=1 mgm "$@" --resume auto
status=$?

# 143: the run was asked to end, is saved, and wants to be continued. Every other status is final.
if [ "$status" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
