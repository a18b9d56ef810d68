#!/bin/bash
#SBATCH --job-name={{ name }}
#SBATCH --output={{ name }}-%j.log
#SBATCH --nodes={{ nodes }}
#SBATCH --ntasks-per-node={{ each }}
#SBATCH --cpus-per-task={{ cores }}
{% if gpus %}
#SBATCH --gpus-per-node={{ gpus }}
{% endif %}
#SBATCH --time={{ time }}
#SBATCH --signal={{ "B:" if verb == "batch" }}TERM@120
{% if account %}
#SBATCH --account={{ account }}
{% endif %}
{% if queue %}
#SBATCH --partition={{ queue }}
{% endif %}
# Two minutes before the time is up Slurm sends SIGTERM: {{ "what there is is saved" if verb == "reconstruct" else "no further scan starts" }}.

{% for line in setup %}
{{ line }}
{% endfor %}
{% if verb == "reconstruct" %}
# One reconstruction: the processes share the frames. When one dies, the others save what there is and end.
srun --kill-on-bad-exit=0 --cpus-per-task={{ cores }} \
    exitwave {{ command }} --device {{ "cuda" if gpus else "cpu" }} --threads {{ cores }}
{% else %}
# Many scans: a scheduler here, a worker for each {{ "GPU" if gpus else "process" }}, and the batch that hands out the scans.
address="tcp://$(hostname):$((20000 + SLURM_JOB_ID % 10000))"
dask scheduler --port "${address##*:}" --no-dashboard &
scheduler=$!
srun --kill-on-bad-exit=0 --cpus-per-task={{ cores }} bash -c '
{% if gpus %}
    export CUDA_VISIBLE_DEVICES=$SLURM_LOCALID
{% endif %}
    exec dask worker "$0" --nworkers 1 --nthreads 1 --no-dashboard' "$address" &
workers=$!
trap 'kill -TERM $batch' TERM
exitwave {{ command }} --scheduler "$address" --threads {{ cores }} &
batch=$!
wait $batch
code=$?
kill $workers $scheduler
wait $batch $workers $scheduler
exit $code
{% endif %}
