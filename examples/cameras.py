"""Synthetic people walk before four cameras; a tracker follows them in each, HA-CNN finds them again in the others.

    pip install -e ".[track]"
    python examples/cameras.py --output cameras                        # minutes on two cores
    python examples/cameras.py --output cameras --model runs/quickstart

It draws the videos and the boxes of a detector that misses, trembles and sees ghosts; ByteTrack makes tracks of them in
each camera; the images of the tracks go into a database, in which every track is searched for before the other
cameras. Then tracks of one person, before whichever camera, are joined by their features. Prints what was found, and
writes OUTPUT/cameras.webp, the four videos with a colour for each person that was told apart.
"""

import argparse
import colorsys
import csv
import dataclasses
import datetime
import itertools
import math
from pathlib import Path

import numpy as np
import scipy.cluster.hierarchy
import scipy.spatial.distance
import supervision as sv
from PIL import Image, ImageDraw, ImageFont
from trackers import ByteTrackTracker
from trackers.eval.box import box_iou
from trackers.eval.identity import compute_identity_metrics

from hacnn_tf import ReID
from hacnn_tf.data.synthetic import make_cameras
from hacnn_tf.data.synthetic.camera import VIEW
from hacnn_tf.data.synthetic.person import Person, draw_person
from hacnn_tf.gallery import Database, search_tracks
from hacnn_tf.gallery.images import find_images
from hacnn_tf.gallery.indexing import index
from hacnn_tf.utils.cli import exit_on_error
from hacnn_tf.utils.files import check_new_path, expanded
from hacnn_tf.utils.waiting import bar

FIRST_PERSON = 1000  # none of the synthetic dataset's
FRAME_RATE = 10  # frames a second
START = datetime.datetime(2026, 11, 24, 15, 30)
SEEN = 0.25  # share of a figure from which on it counts as being there
CROP_EVERY = 5  # frames between two images of a track
SHORTEST = 3  # images of a track that is kept
STRANGERS = 0.05  # share of pairs known to be of two persons that may be nearer than those that are joined
SHOWN_WIDTH, SHOWN_EVERY = 320, 3  # of a camera in the animation, in pixels, and every which frame


@dataclasses.dataclass
class Walk:
    """A person's way before one camera, from one side of the image to the other."""

    person: int
    camera: int
    start: float  # in seconds
    speed: float  # in pixels a second
    lane: float  # how near, from 0 to 1
    right: bool  # the way


@dataclasses.dataclass
class Frame:
    """What a camera sees at a time, and who is there."""

    image: np.ndarray | None  # uint8 (height, width, 3)
    boxes: np.ndarray  # float (n, 4), left, top, right, bottom
    persons: np.ndarray  # int (n,)
    seen: np.ndarray  # float (n,), share of each figure that nobody covers


@dataclasses.dataclass
class View:
    """What a tracker made of one camera."""

    frames: list[Frame]  # without images
    tracks: list[tuple[np.ndarray, np.ndarray]]  # of each frame boxes (n, 4) and numbers (n,)
    crops: dict[int, list[tuple[Path, int]]]  # of each track paths of images, and their frames
    images: list[Image.Image]  # small ones, for the animation


def plan(rng, persons, cameras):
    """The walks of all persons: each passes three of the cameras, one after another."""
    walks = []
    for person in range(persons):
        clock = rng.uniform(0, 0.8 * persons)
        for camera in rng.permutation(cameras)[:3]:
            speed = rng.uniform(90, 150)
            walks.append(Walk(person, int(camera), clock, speed, rng.random(), rng.random() < 0.5))
            clock += VIEW[0] / speed + rng.uniform(2, 8)
    return walks


def film(camera, walks, persons, seconds, rng):
    """The frames of a camera."""
    for number in range(int(seconds * FRAME_RATE)):
        time = number / FRAME_RATE
        scene = camera.background.copy()
        owner = np.full((scene.height, scene.width), -1)
        figures = []
        for walk in sorted(walks, key=lambda walk: walk.lane):  # the nearest last
            if figure := stand(camera, walk, persons[walk.person], time, scene.size):
                image, left, top = figure
                scene.paste(image, (left, top), image)
                mask = Image.new("L", scene.size)
                mask.paste(image.getchannel("A"), (left, top))
                inside = np.asarray(mask) > 127
                owner[inside] = walk.person
                whole = np.count_nonzero(np.asarray(image.getchannel("A")) > 127)
                figures.append((walk.person, mask.getbbox(), whole))
        seen = np.array([np.count_nonzero(owner == person) / whole for person, _, whole in figures])
        there = np.flatnonzero(seen > SEEN)
        yield Frame(
            np.asarray(camera.develop(scene, rng)),
            np.array([figures[i][1] for i in there], float).reshape(-1, 4),
            np.array([figures[i][0] for i in there], int),
            seen[there],
        )


def stand(camera, walk, person, time, size):
    """A person as an image with its left upper corner, or None while the walk is not before the camera."""
    height = round(camera.person_height * (0.85 + 0.5 * walk.lane))
    way = walk.speed * (time - walk.start) - height / 2
    if not -height / 2 < way < size[0] + height / 2:
        return None
    centre = way if walk.right else size[0] - way
    yaw = (math.pi / 2 if walk.right else -math.pi / 2) + 0.4 * math.sin(walk.start)
    figure = draw_person(person, yaw, 6.0 * (time - walk.start), 0.45, height)
    ground = 0.72 * size[1] + 0.26 * size[1] * walk.lane
    return figure, round(centre - figure.width / 2), round(ground - 0.95 * figure.height)


def detect(frame, rng):
    """What a detector would make of a frame: boxes that tremble, some missing, some of nobody."""
    found = rng.random(len(frame.boxes)) < np.where(frame.seen > 0.6, 0.95, 0.6)
    sides = np.repeat(frame.boxes[:, 2:] - frame.boxes[:, :2], 2, axis=0).reshape(-1, 4)
    boxes = (frame.boxes + rng.normal(0, 0.03, sides.shape) * sides)[found]
    confidence = np.clip(0.5 + 0.5 * frame.seen[found] + rng.normal(0, 0.08, len(boxes)), 0.1, 0.99)
    if rng.random() < 0.05:
        left, top = rng.uniform(0, 700), rng.uniform(50, 250)
        boxes = np.vstack([boxes, [left, top, left + 60, top + 150]])
        confidence = np.append(confidence, 0.4)
    return sv.Detections(boxes.reshape(-1, 4), confidence=confidence, class_id=np.zeros(len(boxes), int))


def watch(number, frames, rng, folder):
    """Follows people before one camera: a `View` of what was seen; writes images of the tracks into a folder."""
    tracker = ByteTrackTracker(frame_rate=FRAME_RATE, lost_track_buffer=20)
    view = View([], [], {}, [])
    for moment, frame in enumerate(frames):
        found = tracker.update(detect(frame, rng))
        kept = found.tracker_id >= 0
        boxes, tracks = found.xyxy[kept], found.tracker_id[kept]
        image = Image.fromarray(frame.image)
        if moment % CROP_EVERY == 0:
            for box, track in zip(boxes, tracks, strict=True):
                corners = np.clip(np.round(box), 0, [*image.size, *image.size]).astype(int).tolist()
                if corners[2] - corners[0] > 10 and corners[3] - corners[1] > 20:
                    path = folder / f"{track_name(number, track)}_{moment:04d}.jpg"
                    image.crop(corners).save(path, quality=92)
                    view.crops.setdefault(int(track), []).append((path, moment))
        if moment % SHOWN_EVERY == 0:
            view.images.append(image.resize((SHOWN_WIDTH, SHOWN_WIDTH * image.height // image.width)))
        view.frames.append(dataclasses.replace(frame, image=None))
        view.tracks.append((boxes, tracks))
    return view


def persons_of(crops, views):
    """The person whom each track shows most; -1 if it is nobody."""
    shown = {}
    for camera, track in crops:
        view, seen = views[camera], []
        for frame, (boxes, tracks) in zip(view.frames, view.tracks, strict=True):
            if track in tracks and len(frame.boxes):
                overlaps = box_iou(boxes[tracks == track], frame.boxes)[0]
                if overlaps.max() > 0.5:
                    seen.append(frame.persons[overlaps.argmax()])
        shown[camera, track] = int(np.bincount(seen).argmax()) if seen else -1
    return shown


def joined(crops, features, views):
    """A number for each track: the same for those that are one person by their features.

    Tracks that are seen at once before one camera are different persons. What is nearer than nearly all of these pairs
    is taken to be one; without any such pairs none are joined.
    """
    keys = list(crops)
    times = [{i for i, (_, found) in enumerate(views[c].tracks) if t in found} for c, t in keys]
    distances = scipy.spatial.distance.pdist(features)
    strangers = np.array(
        [a[0] == b[0] and bool(s & t) for (a, s), (b, t) in itertools.combinations(zip(keys, times, strict=True), 2)]
    )
    if not strangers.any():
        print("No two tracks are seen at once, by which to tell how near is one person: none are joined.")
        return {key: number for number, key in enumerate(keys, 1)}
    threshold = np.quantile(distances[strangers], STRANGERS)
    print(f"Joined below a distance of {threshold:.2f}, by {strangers.sum()} pairs of tracks that are seen at once.")
    tree = scipy.cluster.hierarchy.average(np.where(strangers, 10.0, distances))
    return dict(zip(keys, scipy.cluster.hierarchy.fcluster(tree, threshold, "distance").tolist(), strict=True))


def idf1(views, number):
    """IDF1 over cameras, in percent, where track t before camera c is `number(c, t)`; frames of all count."""
    persons, numbers, overlaps = [], [], []
    for camera, view in views.items():
        for frame, (boxes, tracks) in zip(view.frames, view.tracks, strict=True):
            persons.append(frame.persons)
            numbers.append([number(camera, int(track)) for track in tracks])
            overlaps.append(box_iou(frame.boxes, boxes))
    known = {number: i for i, number in enumerate(dict.fromkeys(itertools.chain(*numbers)))}
    numbers = [np.array([known[each] for each in frame], int) for frame in numbers]
    return 100 * compute_identity_metrics(persons, numbers, overlaps)["IDF1"]


def per_camera(views, number):
    """The mean of `idf1` of each camera by itself."""
    return np.mean([idf1({camera: view}, number) for camera, view in views.items()])


def animate(views, identities, path):
    """Writes the four videos side by side, each box with the colour and number of its identity."""
    images, font = [], ImageFont.load_default(14)
    for shown, tiles in enumerate(zip(*(view.images for view in views.values()), strict=True)):
        width, height = tiles[0].size
        grid = Image.new("RGB", (2 * width, 2 * height))
        for camera, tile in enumerate(tiles):
            tile = tile.copy()
            draw = ImageDraw.Draw(tile)
            for box, track in zip(*views[camera].tracks[shown * SHOWN_EVERY], strict=True):
                if (identity := identities.get((camera, int(track)))) is not None:
                    rgb = colorsys.hsv_to_rgb(identity * 0.618 % 1, 0.9, 1.0)
                    corners = (box * SHOWN_WIDTH / VIEW[0]).tolist()
                    draw.rectangle(corners, outline=tuple(round(255 * part) for part in rgb), width=2)
                    draw.text(corners[:2], str(identity), "white", font, "lb", stroke_width=2, stroke_fill="black")
            grid.paste(tile, (camera % 2 * width, camera // 2 * height))
        images.append(grid)
    duration = 1000 * SHOWN_EVERY // FRAME_RATE
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0, quality=50, method=4)


def indexed(model, crops, folder):
    """A database of the images of all tracks."""
    with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "camid", "track", "time"])
        for (camera, track), images in crops.items():
            for path, number in images:
                time = START + datetime.timedelta(seconds=number / FRAME_RATE)
                lines.writerow([path.relative_to(folder), camera + 1, track_name(camera, track), time.isoformat(" ")])
    images, left_out = find_images(folder / "manifest.csv")
    index(model, images, folder / "people.lance", left_out)
    return Database(folder / "people.lance")


def track_name(camera, track):
    return f"c{camera + 1}_t{track:03d}"


def found_elsewhere(database, model, crops, features, persons):
    """Shares of tracks whose nearest before the other cameras is of the same person, in percent.

    Of tracks among tracks, and of one image of each among images.
    """
    names = {track_name(*key): person for key, person in persons.items()}
    right = {"tracks": [], "images": []}
    for camera in sorted({camera for camera, _ in crops}):
        others = {person for (other, _), person in persons.items() if other != camera}
        queries = [i for i, key in enumerate(crops) if key[0] == camera and persons[key] in others - {-1}]
        if not queries:
            continue
        keys, where = list(crops), f"camid != {camera + 1}"
        middles = [crops[keys[i]][len(crops[keys[i]]) // 2][0] for i in queries]
        tracks = search_tracks(database, features[queries], where, branches=model.branches, top=1)
        images = database.search(model.embed(middles), where, top=1)
        for kind, results in (("tracks", tracks), ("images", images)):
            right[kind] += [names[rows.track[0]] == persons[keys[i]] for i, rows in zip(queries, results, strict=True)]
    return {kind: 100 * np.mean(values) for kind, values in right.items()}, len(right["tracks"])


def found_across(identities, persons):
    """Persons with joined tracks before two cameras or more, and persons with tracks there at all."""
    cameras, together = {}, {}
    for (camera, track), person in persons.items():
        cameras.setdefault(person, set()).add(camera)
        together.setdefault((person, identities[camera, track]), set()).add(camera)
    several = {person for person, seen in cameras.items() if person >= 0 and len(seen) > 1}
    return len({person for (person, _), seen in together.items() if len(seen) > 1} & several), len(several)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=lambda path: Path(expanded(path)), required=True, help="a folder; must not exist yet"
    )
    parser.add_argument("--model", default="hacnn_cuhk03_detected", help="a run folder, an export or a preset")
    parser.add_argument("--persons", type=int, default=16, help="who walk, 2 or more (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of their looks and ways (%(default)s)")
    args = parser.parse_args()
    if args.persons < 2 or args.seed < 0:
        parser.error("--persons must be at least 2, and --seed at least 0")
    with exit_on_error("cameras"):
        check_new_path(args.output)
        run(args)


def run(args):
    model = ReID.from_preset(args.model)
    (args.output / "crops").mkdir(parents=True)

    rng = np.random.default_rng(args.seed)
    cameras = make_cameras()
    persons = [Person.random(np.random.default_rng([FIRST_PERSON, args.seed, i])) for i in range(args.persons)]
    walks = plan(rng, args.persons, len(cameras))
    seconds = max(walk.start + VIEW[0] / walk.speed for walk in walks) + 2
    views = {}
    for number, camera in enumerate(cameras):
        frames = film(camera, [walk for walk in walks if walk.camera == number], persons, seconds, rng)
        frames = bar(frames, f"Camera {number + 1}", int(seconds * FRAME_RATE), "frame")
        views[number] = watch(number, frames, rng, args.output / "crops")
    crops = {
        (camera, track): images
        for camera, view in views.items()
        for track, images in view.crops.items()
        if len(images) >= SHORTEST
    }
    print(f"{args.persons} people, {len(walks)} walks before {len(cameras)} cameras, {len(crops)} tracks")

    database = indexed(model, crops, args.output)
    features = model.embed_tracks([[path for path, _ in images] for images in crops.values()])
    shown = persons_of(crops, views)
    right, queries = found_elsewhere(database, model, crops, features, shown)
    identities = joined(crops, features, views)
    across, several = found_across(identities, shown)

    def together(camera, track):
        return identities.get((camera, track), (camera, track))

    print(f"\nThe nearest before the other cameras is the same person, of {queries} tracks:")
    print(f"  one image among images       {right['images']:5.1f}%")
    print(f"  a track among tracks         {right['tracks']:5.1f}%\n")
    print(f"{across} of {several} people who pass several cameras have joined tracks before two of them or more.\n")
    print("IDF1, in percent         each camera   all cameras")
    for title, number in (("boxes alone, ByteTrack", lambda *key: key), ("joined by features", together)):
        print(f"{title:<24} {per_camera(views, number):>11.1f} {idf1(views, number):>13.1f}")
    animate(views, identities, args.output / "cameras.webp")
    print(f"{args.output / 'cameras.webp'}; find a person in it: python -m hacnn_tf.app --database {database.path}")


if __name__ == "__main__":
    main()
