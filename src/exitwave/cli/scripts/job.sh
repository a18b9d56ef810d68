#!/bin/bash
{% set slurm = system == "slurm" %}
{% if slurm %}
#SBATCH --job-name={{ name }}
#SBATCH --output={{ name }}-%j.log
#SBATCH --nodes={{ nodes }}
#SBATCH --ntasks-per-node={{ processes }}
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
# Two minutes before the time limit Slurm sends SIGTERM: {{ "the partial result is saved" if verb == "reconstruct" else "no further scan is started" }}.

{% else %}
#PBS -N {{ name }}
#PBS -j oe
#PBS -l select={{ nodes }}:ncpus={{ processes * cores }}:mpiprocs={{ processes }}{{ ":ngpus=%d" % gpus if gpus }}
#PBS -l place=scatter
#PBS -l walltime={{ time }}
{% if account %}
#PBS -A {{ account }}
{% endif %}
{% if queue %}
#PBS -q {{ queue }}
{% endif %}
# Some systems need more options here, such as the file systems: #PBS -l filesystems=home:eagle

cd "$PBS_O_WORKDIR" || exit
{% endif %}
{% for line in setup %}
{{ line }}
{% endfor %}
{% if slurm %}
{% set launch = "srun --kill-on-bad-exit=0 --cpus-per-task=%d" % cores %}
{% set local_rank = "$SLURM_LOCALID" %}
{% set job_number = "SLURM_JOB_ID" %}
{% else %}
{% set launch = "mpiexec -n %d -ppn %d" % (nodes * processes, processes) %}
{% set local_rank = "${PALS_LOCAL_RANKID:-${MPI_LOCALRANKID:-$OMPI_COMM_WORLD_LOCAL_RANK}}" %}
{% set job_number = "job" %}
# The option -ppn is that of MPICH, Intel MPI and PALS. With Open MPI, write --map-by ppr:{{ processes }}:node --bind-to none.
{% endif %}
{% if verb == "reconstruct" %}
{% if slurm %}
# One reconstruction: the processes share the frames. If one dies, the others save the partial result and end.
{% else %}
# One reconstruction: the processes share the frames, and connect to the first node.
MASTER_ADDR=$(head -n 1 "$PBS_NODEFILE")
export MASTER_ADDR
{% endif %}
{{ launch }} \
    exitwave {{ command }} --device {{ "cuda" if gpus else "cpu" }} --threads {{ cores }}
{% else %}
# Many scans: a scheduler on this node, a worker for each {{ "GPU" if gpus else "process" }}, and the batch, which distributes the scans.
{% if not slurm %}
job=${PBS_JOBID%%[!0-9]*}
{% endif %}
address="tcp://$(hostname):$((20000 + {{ job_number }} % 10000))"
dask scheduler --port "${address##*:}" --no-dashboard &
scheduler=$!
{{ launch }} bash -c '
{% if gpus %}
    export CUDA_VISIBLE_DEVICES={{ local_rank }}
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
