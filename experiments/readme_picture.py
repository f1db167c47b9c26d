"""The README's picture: what a run finds for a few queries of the embedded dataset.

    python experiments/readme_picture.py [--run_dir runs/quickstart] [--output docs/ranking.png]

A row is a query with the four regions of the network's first level, and the six gallery images nearest to it (without
the query's person before the same camera), framed green where they show the query's person and red where they do not.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from hacnn_tf import cli
from hacnn_tf.data.images import load_images
from hacnn_tf.evaluation import extract_features, feature_function
from hacnn_tf.models.hacnn import REGION_SCALE
from hacnn_tf.training.run_folder import RunFolder

REGION_COLOURS = ["red", "blue", "green", "violet"]  # as in the paper's Fig. 6
RIGHT, WRONG = (40, 160, 70), (210, 50, 50)
SHOWN, GAP, FRAME = 6, 8, 3

COMMAND = cli.Command(__doc__, "readme_picture")
COMMAND.define("string", "run_dir", "runs/quickstart", "the run folder")
COMMAND.define("string", "data_root", "data", "folder that holds the datasets")
COMMAND.define("string", "output", "docs/ranking.png", "the picture")
COMMAND.define("integer", "queries", 4, "number of rows", lower_bound=1)
COMMAND.group("Picture")


def main(flags):
    run = RunFolder(flags.run_dir)
    model, _ = run.load_model()
    dataset = run.settings.read_dataset(flags.data_root)
    query, gallery = dataset.split("query"), dataset.split("gallery")
    rows = query.iloc[:: len(query) // flags.queries + 1].reset_index(drop=True)
    pictures, candidates = (load_images(table.path, model.input_shape[1:3]) for table in (rows, gallery))
    function = feature_function(model)
    features = [extract_features(function, images) for images in (pictures, candidates)]
    centres = model.attention_extractor()(pictures)["regions"][0].numpy()

    height, width = pictures.shape[1:3]
    sheet = Image.new("RGB", ((SHOWN + 1) * (width + GAP) + 3 * GAP, len(rows) * (height + GAP) + GAP), "white")
    for i, similarities in enumerate(features[0] @ features[1].T):
        y = GAP + i * (height + GAP)
        picture = Image.fromarray(pictures[i])
        draw = ImageDraw.Draw(picture)
        for (t_y, t_x), colour in zip(centres[i], REGION_COLOURS, strict=False):
            middle = np.array([(t_x + 1) * width / 2, (t_y + 1) * height / 2])
            half = np.array([REGION_SCALE[1] * width / 2, REGION_SCALE[0] * height / 2])
            draw.rectangle([*(middle - half), *(middle + half)], outline=colour, width=2)
        sheet.paste(picture, (GAP, y))
        own = (gallery.pid == rows.pid[i]) & (gallery.camid == rows.camid[i])
        similarities[own.to_numpy()] = -np.inf
        for place, found in enumerate(np.argsort(-similarities, kind="stable")[:SHOWN], start=1):
            x = 3 * GAP + place * (width + GAP)
            colour = RIGHT if gallery.pid[found] == rows.pid[i] else WRONG
            sheet.paste(colour, (x - FRAME, y - FRAME, x + width + FRAME, y + height + FRAME))
            sheet.paste(Image.fromarray(candidates[found]), (x, y))
    Path(flags.output).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(flags.output)
    print(flags.output)


if __name__ == "__main__":
    COMMAND.run(main)
