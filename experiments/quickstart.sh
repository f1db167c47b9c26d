#!/usr/bin/env bash
# From nothing to a trained, evaluated and exported HA-CNN on the embedded dataset, in minutes on two CPU cores.
#   bash experiments/quickstart.sh
# RUN_DIR and OUTPUT say where the run and the export go.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
run_dir=${RUN_DIR:-runs/quickstart}
output=${OUTPUT:-exports/quickstart}
started=$SECONDS

"$python" -m hacnn_tf.train --run_dir "$run_dir"
if [ ! "$output/hacnn.keras" -nt "$run_dir/checkpoints" ]; then # none yet, or of an older run
  rm -rf "$output/saved_model" "$output/hacnn.keras"
  [ ! -d "$output" ] || rmdir "$output"
  "$python" -m hacnn_tf.export --run_dir "$run_dir" --output "$output"
fi
"$python" -m hacnn_tf.evaluate --run_dir "$run_dir" --saved_model "$output/saved_model"

cat <<EOF

Done in $((SECONDS - started)) s. Where everything lies:
  dataset      data/synthetic
  run          $run_dir   (config.json, log.csv, speed.csv, evaluations.csv, tensorboard/, checkpoints/, metrics.json)
  SavedModel   $output/saved_model
  Keras model  $output/hacnn.keras
EOF
