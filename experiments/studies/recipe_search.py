"""The search for the recipe: trains each variant on a part of CUHK03's training identities, ranks it on the others.

    python experiments/studies/recipe_search.py --data_root DATA [--only cosine,step] [--seeds 0,1,2] [--table]

No image of the test set is looked at. Trainings that are finished are not repeated; --table prints theirs, as in
docs/studies/search.md. What is no part of a recipe but a reading of the paper is changed in place (READINGS), which a
run folder doesn't know of: its network is another than `python -m hacnn_tf.evaluate` would build of it.
"""

import argparse
import functools
import sys
from pathlib import Path

from hacnn_tf.utils.cli import exit_on_error
from hacnn_tf.utils.signals import run_stoppable

COMMON = ["--dataset=cuhk03", "--validation=384", "--epochs=12", "--precision=mixed_bfloat16"]
VARIANTS = {  # name: (flags, reading)
    "step": ("--recipe paper --schedule step --drops 0.6,0.9", None),
    "cosine": ("--recipe paper --schedule cosine", None),
    "exponential": ("--recipe paper --schedule exponential", None),
    "constant": ("--recipe paper --schedule constant", None),
    "cosine-decay": ("--recipe paper --schedule cosine --weight_decay 2", "decayed-attention"),
    "cosine-decay-8": ("--recipe paper --schedule cosine --weight_decay 8", "decayed-attention"),
    "cosine-decay-20": ("--recipe paper --schedule cosine --weight_decay 20", None),
    "constant-decay-8": ("--recipe paper --schedule constant --weight_decay 8", None),
    "step-decay-8": ("--recipe paper --schedule step --drops 0.6,0.9 --weight_decay 8", None),
    "step-late-decay-8": ("--recipe paper --schedule step --drops 0.8 --weight_decay 8", None),
    "step-early-decay-8": ("--recipe paper --schedule step --drops 0.4,0.8 --weight_decay 8", None),
    "decay-4": ("--recipe adamw --weight_decay 4", None),
    "decay-16": ("--recipe adamw --weight_decay 16", None),
    "warmup": ("--recipe adamw --warmup 0.05", None),
    "norm-epsilon": ("--recipe adamw", "norm-epsilon"),
    "adam-epsilon": ("--recipe adamw", "adam-epsilon"),
    "norm-momentum": ("--recipe adamw", "norm-momentum"),
    "glorot": ("--recipe adamw", "glorot"),
    "crop-scale": ("--recipe adamw", "crop-scale"),
    "region-norm": ("--recipe adamw", "region-norm"),
    "free-regions": ("--recipe adamw", "decayed-spatial"),
    "free-attention": ("--recipe adamw", None),
    "float32": ("--recipe adamw --precision float32", None),
    "flip": ("--recipe adamw --flip", None),
    "crop": ("--recipe adamw --flip --crop_padding 8", None),
    "erasing": ("--recipe adamw --flip --crop_padding 8 --erasing 0.5", None),
    "grey": ("--recipe adamw --grey 0.5", None),
    "smoothing": ("--recipe adamw --label_smoothing 0.1", None),
    "triplet": ("--recipe adamw --batch_identities 8 --triplet 1", None),
    "strong": ("--recipe strong", None),
}


def change_norm(**options):
    from hacnn_tf.layers import conv_block
    from hacnn_tf.models import hacnn

    conv_block.BatchNorm = hacnn.BatchNorm = functools.partial(hacnn.BatchNorm, **options)


def change_adam():
    from hacnn_tf.training import loop

    loop.ADAM_EPSILON = 1e-4


def change_initializer():
    import keras

    from hacnn_tf.layers import initializers

    initializers.fan_in_uniform = keras.initializers.GlorotUniform


def change_regions():
    from hacnn_tf.models import hacnn

    hacnn.REGION_SCALE = (0.25, 1.0)


def change_region_norm():
    """Calls the local branch's Inceptions once for each region, whose maps then have statistics of their own."""
    from keras import ops

    from hacnn_tf.models import hacnn

    class InceptionB(hacnn.InceptionB):
        def call(self, inputs):
            if "local" not in self.name:
                return super().call(inputs)
            regions = ops.reshape(inputs, (-1, 4, *inputs.shape[1:]))
            maps = ops.stack([super(InceptionB, self).call(regions[:, i]) for i in range(4)], axis=1)
            return ops.reshape(maps, (-1, *maps.shape[2:]))

    hacnn.InceptionB = InceptionB


def change_decay(*undecayed):
    from hacnn_tf.training import loop

    loop.UNDECAYED = undecayed


READINGS = {
    "norm-epsilon": functools.partial(change_norm, epsilon=1e-3),
    "norm-momentum": functools.partial(change_norm, momentum=0.99),
    "adam-epsilon": change_adam,
    "glorot": change_initializer,
    "crop-scale": change_regions,
    "region-norm": change_region_norm,
    "decayed-attention": change_decay,
    "decayed-spatial": functools.partial(change_decay, "hard_attention/"),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data_root", default="data")
    parser.add_argument("--runs_dir", type=Path, default="runs/search")
    parser.add_argument("--only", default=",".join(VARIANTS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--reading", help=argparse.SUPPRESS)  # of a training that this script starts
    args, rest = parser.parse_known_args()
    if args.reading:
        from hacnn_tf import train

        READINGS[args.reading]()
        return train.COMMAND.run(train.main, ["train", f"--data_root={args.data_root}", *rest])
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if unknown := [name for name in args.only.split(",") if name not in VARIANTS]:
        parser.error(f"--only: {', '.join(unknown)} unknown; {', '.join(VARIANTS)} are known")
    if not args.table:
        for seed in args.seeds.split(","):
            for name in args.only.split(","):
                run(name, seed, args.data_root, args.runs_dir)
    print(table(args.runs_dir))


def run(name, seed, data_root, runs_dir):
    """Trains a variant, or goes on with it."""
    flags, reading = VARIANTS[name]
    how = [__file__, "--reading", reading] if reading else ["-m", "hacnn_tf.train"]
    where = [f"--data_root={data_root}", f"--run_dir={runs_dir / f'{name}-seed{seed}'}", f"--seed={seed}"]
    if code := run_stoppable([sys.executable, *how, *where, *COMMON, *flags.split()]):
        sys.exit(code)


def table(runs_dir):
    """The finished trainings of all variants, a line each, as Markdown."""
    from hacnn_tf.evaluation import PARTS
    from hacnn_tf.training.run_folder import RunFolder
    from hacnn_tf.utils.errors import InputError

    lines = [
        "| variant | seed | joint | global | local | loss, global/local | revision |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in VARIANTS:
        for path in sorted(runs_dir.glob(f"{name}-seed*")):
            try:
                folder = RunFolder(path)
                folder.read_metrics()
                last, found = (folder.read_rows(rows, folder.settings.epochs)[-1] for rows in ("log", "evaluations"))
            except (InputError, IndexError) as error:
                print(f"Left out: {error if isinstance(error, InputError) else path}", file=sys.stderr)
                continue
            accuracy = " | ".join(f"{float(found[f'{p}_rank1']):.1f}/{float(found[f'{p}_mAP']):.1f}" for p in PARTS)
            losses = f"{float(last['global_loss']):.2f}/{float(last['local_loss']):.2f}"
            lines.append(f"| {name} | {folder.settings.seed} | {accuracy} | {losses} | {folder.revision} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with exit_on_error("recipe_search"):
        main()
