#!/usr/bin/env bash
# From bundled weights to an HA-CNN trained on the embedded dataset, evaluated and exported, and a gallery to search with
# it, in minutes on two CPU cores; train evaluates at its end.
#   bash experiments/quickstart.sh [--precision mixed_bfloat16]    flags go to train
# RUN_DIR, OUTPUT and DATABASE say where the run, the export and the gallery's features go.
EXTRAS=app source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
run_dir=${RUN_DIR:-runs/quickstart}
output=${OUTPUT:-exports/quickstart}
database=${DATABASE:-databases/quickstart.lance}
pictures=data/synthetic/detected
started=$SECONDS spent=""

run() { # a command, and how long it takes
  local begin=$SECONDS
  "$python" -m "hacnn_tf.$1" "${@:2}"
  spent+="${spent:+, }$1 $((SECONDS - begin)) s"
}

run train --run_dir "$run_dir" --init_from hacnn_cuhk03_detected --epochs 2 "$@"

# In places that somebody named, all that is there is theirs. Elsewhere, what an older run made goes, and nothing else.
remove() {
  [ ! -e "$1" ] || [ "$1" -nt "$run_dir/checkpoints" ] || { echo "Removes $1, which is older than $run_dir."; rm -rf "$1"; }
}
if [ ! "$output/hacnn.keras" -nt "$run_dir/checkpoints" ]; then # none yet, or of an older run
  if [ -z "${OUTPUT:-}" ] && [ -d "$output" ]; then
    remove "$output/saved_model"
    remove "$output/hacnn.keras"
    rmdir "$output" 2> /dev/null || {
      echo "$output holds more than the quickstart made: remove it, or name another place with OUTPUT." >&2
      exit 1
    }
  fi
  run export --run_dir "$run_dir" --output "$output"
fi
[ -n "${DATABASE:-}" ] || remove "$database"
run index --model "$run_dir" --images "$pictures/bounding_box_test" --database "$database"
run search --database "$database" --query "$pictures/query/0237_c1_1.jpg" --where "camid != 1" --top 5

cat <<EOF

Done in $((SECONDS - started)) s ($spent). Where everything lies:
  dataset      data/synthetic
  run          $run_dir   (config.json, log.csv, speed.csv, evaluations.csv, tensorboard/, checkpoints/, metrics.json)
  SavedModel   $output/saved_model
  Keras model  $output/hacnn.keras
  database     $database

To find persons in a browser:
  $python -m hacnn_tf.app --database $database
EOF
