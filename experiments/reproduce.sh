# Sourced by the scripts of the tables and figures; they all take the same variables, and further flags of
# python -m hacnn_tf.reproduce (see its --help) behind their name. Relative paths count from the checkout's root.
#   DATASET       synthetic, cuhk03, market1501, dukemtmc, or several of them; the paper's if not given
#   DATA_ROOT     folder that holds the datasets                        [data]
#   ALLOW_SUBSET  1: the datasets may be parts
#   BOXES         detected or labelled, where a table doesn't say       [detected]
#   SEEDS         a training for each, as in SEEDS="0 1 2"              [0]
#   EPOCHS        of each training                                      [150; 4 for synthetic]
#   RECIPE        paper, adamw or strong; see hacnn_tf/training/recipes.py       [adamw; paper for synthetic]
#   PRECISION     float32, mixed_bfloat16 or mixed_float16              [float32]
#   RUNS          where run folders go                                  [runs]
#   RESULTS       where tables and figures go                           [results]
EXTRAS=plot source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

reproduce() { # the experiments, separated by commas, and further flags
  local experiment=$1 flags=()
  shift
  [ -z "${DATASET:-}" ] || flags+=(--dataset "${DATASET// /,}")
  [ -z "${BOXES:-}" ] || flags+=(--boxes "$BOXES")
  [ "${ALLOW_SUBSET:-0}" = 0 ] || flags+=(--allow_subset)
  [ -z "${SEEDS:-}" ] || flags+=(--seeds "${SEEDS// /,}")
  [ -z "${EPOCHS:-}" ] || flags+=(--epochs "$EPOCHS")
  [ -z "${RECIPE:-}" ] || flags+=(--recipe "$RECIPE")
  [ -z "${PRECISION:-}" ] || flags+=(--precision "$PRECISION")
  "$python" -m hacnn_tf.reproduce --experiment "$experiment" --data_root "${DATA_ROOT:-data}" \
    --runs_dir "${RUNS:-runs}" --results_dir "${RESULTS:-results}" ${flags[@]+"${flags[@]}"} "$@"
}
