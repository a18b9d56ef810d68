#!/bin/bash
#PBS -N {{ name }}
#PBS -j oe
#PBS -l select={{ nodes }}:ncpus={{ each * cores }}:mpiprocs={{ each }}{{ ":ngpus=%d" % gpus if gpus else "" }}
#PBS -l place=scatter
#PBS -l walltime={{ time }}
{% if account %}
#PBS -A {{ account }}
{% endif %}
{% if queue %}
#PBS -q {{ queue }}
{% endif %}
# Some systems want more here, such as the file systems: #PBS -l filesystems=home:eagle

cd "$PBS_O_WORKDIR" || exit
{% for line in setup %}
{{ line }}
{% endfor %}
# MPICH, Intel MPI and PALS say -ppn; Open MPI says --map-by ppr:{{ each }}:node --bind-to none in its place.
{% if verb == "reconstruct" %}
# One reconstruction: the processes share the frames, and meet at the first node.
MASTER_ADDR=$(head -n 1 "$PBS_NODEFILE")
export MASTER_ADDR
mpiexec -n {{ nodes * each }} -ppn {{ each }} \
    exitwave {{ command }} --device {{ "cuda" if gpus else "cpu" }} --threads {{ cores }}
{% else %}
# Many scans: a scheduler here, a worker for each {{ "GPU" if gpus else "process" }}, and the batch that hands out the scans.
job=${PBS_JOBID%%[!0-9]*}
address="tcp://$(hostname):$((20000 + job % 10000))"
dask scheduler --port "${address##*:}" --no-dashboard &
scheduler=$!
mpiexec -n {{ nodes * each }} -ppn {{ each }} bash -c '
{% if gpus %}
    export CUDA_VISIBLE_DEVICES=${PALS_LOCAL_RANKID:-${MPI_LOCALRANKID:-$OMPI_COMM_WORLD_LOCAL_RANK}}
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
