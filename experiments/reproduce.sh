# What the scripts of the tables and figures do, as in DATASET=synthetic bash experiments/table5.sh
# They take these variables, and flags of python -m hacnn_tf.reproduce. Relative paths count from the checkout's root.
#   DATASET       synthetic, cuhk03, market1501, dukemtmc, or several of them; the paper's if not given
#   DATA_ROOT     folder that holds the datasets                        [data]
#   ALLOW_SUBSET  1: the datasets may be parts
#   BOXES         detected or labelled, where a table doesn't say       [detected]
#   SEEDS         a training for each, as in SEEDS="0 1 2"              [0]
#   EPOCHS        of each training                                      [150; 4 for synthetic]
#   RECIPE        paper, adamw or strong (docs/training.md)             [adamw; paper for synthetic]
#   PRECISION     float32, mixed_bfloat16 or mixed_float16              [float32]
#   EXTRAS        further extras to install in .venv                    [gpu, where nvidia-smi is]
#   RUNS          where run folders go                                  [runs]
#   RESULTS       where tables and figures go                           [results]
EXTRAS=plot${EXTRAS:+,$EXTRAS},gpu? source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

experiment=${1:?name a table or figure, as in reproduce.sh table5}
shift
flags=()
[ -z "${DATASET:-}" ] || flags+=(--dataset "${DATASET// /,}")
[ -z "${BOXES:-}" ] || flags+=(--boxes "$BOXES")
[ "${ALLOW_SUBSET:-}" != 1 ] || flags+=(--allow_subset)
[ -z "${SEEDS:-}" ] || flags+=(--seeds "${SEEDS// /,}")
[ -z "${EPOCHS:-}" ] || flags+=(--epochs "$EPOCHS")
[ -z "${RECIPE:-}" ] || flags+=(--recipe "$RECIPE")
[ -z "${PRECISION:-}" ] || flags+=(--precision "$PRECISION")
exec "$python" -m hacnn_tf.reproduce --experiment "$experiment" --data_root "${DATA_ROOT:-data}" \
  --runs_dir "${RUNS:-runs}" --results_dir "${RESULTS:-results}" ${flags[@]+"${flags[@]}"} "$@"
