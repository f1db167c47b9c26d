#!/usr/bin/env bash
# From bundled weights to an HA-CNN trained on the synthetic dataset, evaluated and exported, and a gallery to search with
# it, in minutes on two CPU cores; train evaluates before and after.
#   bash experiments/quickstart.sh [--precision mixed_bfloat16]    flags go to train
# RUN_DIR, OUTPUT and DATABASE say where the run, the export and the gallery's features go.
set -euo pipefail
for flag in "$@"; do
  case $flag in -run_dir* | --run_dir* | -data_root* | --data_root* | -dataset* | --dataset*)
    echo "quickstart.sh does not take $flag: it trains on the synthetic dataset, in the folder that RUN_DIR names" >&2
    exit 1 ;;
  esac
done
EXTRAS=app${EXTRAS:+,$EXTRAS},gpu? source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
run_dir=${RUN_DIR:-runs/quickstart}
output=${OUTPUT:-exports/quickstart}
database=${DATABASE:-databases/quickstart.lance}
images=data/synthetic/detected
started=$SECONDS spent=""

run() { # a command, and how long it takes
  local begin=$SECONDS
  "$python" -m "hacnn_tf.$1" "${@:2}"
  spent+="${spent:+, }$1 $((SECONDS - begin)) s"
}

run train --run_dir "$run_dir" --init_from hacnn_cuhk03_detected --epochs 2 "$@"

if { [ -z "${OUTPUT:-}" ] && [ -d "$output.new" ]; } || [ ! "$output/hacnn.keras" -nt "$run_dir/checkpoints" ]; then # none whole, or of an older run
  if [ -n "${OUTPUT:-}" ] || [ ! -d "$output" ]; then
    run export --run_dir "$run_dir" --output "$output"
  else
    rm -rf "$output.new"
    run export --run_dir "$run_dir" --output "$output.new"
    for made in "$output.new"/*; do # and nothing else that lies there
      echo "Replaces $output/${made##*/}, of an older run"
      rm -rf "$output/${made##*/}"
      mv "$made" "$output/"
    done
    rmdir "$output.new"
  fi
fi
if [ -z "${DATABASE:-}" ] && [ -e "$database" ] && [ "$run_dir/checkpoints" -nt "$database" ]; then
  echo "Replaces $database, of an older run"
  rm -rf "$database"
fi
run index --model "$run_dir" --images "$images/bounding_box_test" --database "$database"
run search --database "$database" --query "$images/query/0237_c1_1.jpg" --where "camid != 1" --top 5

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
