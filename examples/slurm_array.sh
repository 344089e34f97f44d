#!/bin/sh
# Score a corpus on a Slurm cluster, one shard of it a task, then select and mix.
#
#     examples/slurm_array.sh submit CORPUS WORK TASKS
#
# WORK/scores/0 ... get the scores of the tasks, WORK/selected the best 20 % of each domain, and
# WORK/mix a recipe of the corpus and them. Tasks that were killed or failed go on where they were
# with `sbatch --array=3,7 examples/slurm_array.sh score CORPUS WORK TASKS`; the number of shards is
# TASKS whatever the array, so that a shard means the same rows as before.
#
#SBATCH --job-name=attninfluence
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu

stage=$1 corpus=$2 work=$3 tasks=$4

case $stage in
submit)
    array=$(sbatch --parsable --array="0-$((tasks - 1))" "$0" score "$corpus" "$work" "$tasks")
    # Of several clusters it is "job;cluster".
    sbatch --dependency="afterok:${array%%;*}" "$0" select "$corpus" "$work" "$tasks"
    ;;
score)
    # One kernel that all nodes have: with another one, some bits of a score differ.
    attninfluence score "$corpus" -o "$work/scores/$SLURM_ARRAY_TASK_ID" \
        --shard "$SLURM_ARRAY_TASK_ID/$tasks" --threads "$SLURM_CPUS_PER_TASK" \
        --precision bf16 --kernel avx2
    ;;
select)
    attninfluence select "$work"/scores/* -o "$work/selected"
    case $corpus in
    /* | *://*) set -- --root "$corpus" ;; # elsewhere a mix reads files only where it is told
    *) set -- ;;
    esac
    attninfluence mix "$work/selected" -o "$work/mix" --recipe "$@"
    ;;
*)
    echo "slurm_array.sh: the stages are submit, score and select, not $stage" >&2
    exit 2
    ;;
esac
