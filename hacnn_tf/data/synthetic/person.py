"""Procedural persons: an appearance that stays, a pose that changes, drawn from a small 3-D skeleton.

Lengths are in body heights, y up from the ground, x to the person's left, z forward.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SUPERSAMPLING = 2
Colour = tuple[int, int, int]
Point = tuple[float, float, float]  # x, y, z
Pixel = tuple[float, float]
Limb = tuple[Point, Point, Point]  # hip, knee and ankle, or shoulder, elbow and wrist
Surface = NDArray[np.float64]
Chosen = TypeVar("Chosen")

SKIN = [(243, 208, 181), (224, 178, 143), (198, 144, 104), (150, 100, 68), (99, 66, 47)]
HAIR = [(24, 20, 20), (58, 38, 26), (104, 70, 42), (176, 132, 74), (150, 148, 146), (128, 48, 26)]
CLOTH = [
    (28, 28, 32), (72, 72, 78), (138, 138, 140), (226, 224, 218), (30, 42, 82), (52, 92, 160), (128, 172, 210),
    (148, 30, 36), (206, 72, 70), (34, 84, 56), (110, 134, 70), (214, 178, 62), (196, 110, 40), (112, 76, 48),
    (190, 164, 126), (96, 52, 112), (206, 130, 160), (46, 130, 134),
]  # fmt: skip
DENIM_AND_DARK = [
    (34, 34, 38),
    (58, 58, 64),
    (36, 48, 84),
    (70, 94, 136),
    (112, 108, 100),
    (150, 134, 104),
    (84, 62, 46),
]


@dataclasses.dataclass(frozen=True)
class Person:
    """What an identity keeps from image to image. Colours are RGB in 0..255, `tall` and `stout` factors around 1."""

    tall: float
    stout: float
    skin: Colour
    hair: Colour
    hair_style: str  # short, long, bun, bald, cap
    upper: Colour
    upper_second: Colour
    pattern: str  # plain, stripes, bars, checks, logo
    sleeves: str  # none, short, long
    hem: float  # height of the upper garment's lower edge
    lower: Colour
    lower_kind: str  # trousers, shorts, skirt
    shoes: Colour
    carried: str  # nothing, backpack, handbag, satchel
    carried_colour: Colour

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Person":
        """A person drawn from `numpy.random.Generator` `rng`."""

        def choose(options: Sequence[Chosen], weights: Sequence[float] | None = None) -> Chosen:
            return options[rng.choice(len(options), p=weights)]

        def colour(palette: Sequence[Colour], spread: float = 12) -> Colour:
            red, green, blue = np.clip(np.array(choose(palette)) + rng.normal(0, spread, 3), 0, 255)
            return int(red), int(green), int(blue)

        return cls(
            tall=rng.uniform(0.92, 1.06),
            stout=rng.uniform(0.85, 1.25),
            skin=colour(SKIN, 6),
            hair=colour(HAIR, 6),
            hair_style=choose(["short", "long", "bun", "bald", "cap"], [0.42, 0.3, 0.1, 0.06, 0.12]),
            upper=colour(CLOTH),
            upper_second=colour(CLOTH),
            pattern=choose(["plain", "stripes", "bars", "checks", "logo"], [0.36, 0.18, 0.12, 0.14, 0.2]),
            sleeves=choose(["none", "short", "long"], [0.08, 0.4, 0.52]),
            hem=choose([0.47, 0.44, 0.34], [0.5, 0.3, 0.2]),
            lower=colour(DENIM_AND_DARK if rng.random() < 0.7 else CLOTH, 8),
            lower_kind=choose(["trousers", "shorts", "skirt"], [0.66, 0.18, 0.16]),
            shoes=colour(CLOTH),
            carried=choose(["nothing", "backpack", "handbag", "satchel"], [0.4, 0.26, 0.17, 0.17]),
            carried_colour=colour(CLOTH),
        )


def draw_person(person: Person, yaw: float, phase: float, stride: float, height: int) -> Image.Image:
    """Draws a walking person.

    Args:
        person: a `Person`.
        yaw: the way the person faces, in radians: 0 towards the camera, π/2 to the right of the image, π away.
        phase: of the walking cycle, in radians.
        stride: largest swing of a leg, in radians.
        height: of an average person, in pixels.

    Returns:
        RGBA image, `height` × `1.2 * height` pixels (width × height); the ground under the feet is `0.05 * height`
        above the lower edge, the body's axis in the middle.
    """
    canvas = _Canvas(yaw, height * person.tall * SUPERSAMPLING, height)
    pose = _Pose(person, phase, stride)
    _draw_legs(canvas, person, pose)
    behind: list[Limb] = []
    before: list[Limb] = []
    for side in (-1, 1):
        arm = pose.arms[side]
        (before if canvas.depth(arm[1]) >= -0.01 else behind).append(arm)
    carried_behind = canvas.depth(_CARRIED_AT.get(person.carried, (0, 0, 0))) < 0

    if person.hair_style == "long" and canvas.facing > 0:
        _draw_long_hair(canvas, person)
    if person.carried != "nothing" and carried_behind:
        _draw_carried(canvas, person)
    for arm in behind:
        _draw_arm(canvas, person, arm, 0.8)
    _draw_torso(canvas, person)
    _draw_straps(canvas, person)
    for arm in before:
        _draw_arm(canvas, person, arm, 0.94)
    if person.carried != "nothing" and not carried_behind:
        _draw_carried(canvas, person)
    _draw_head(canvas, person)
    return canvas.image.resize((height, round(1.2 * height)), Image.Resampling.BOX)


class _Canvas:
    """Orthographic projection of body coordinates, seen under `yaw`, and the brushes to draw with."""

    def __init__(self, yaw: float, scale: float, height: int) -> None:
        self.image = Image.new("RGBA", (height * SUPERSAMPLING, round(1.2 * height) * SUPERSAMPLING))
        self.draw = ImageDraw.Draw(self.image)
        self.cos, self.sin, self.scale = math.cos(yaw), math.sin(yaw), scale
        self.facing = self.cos  # 1 seen from the front, -1 from behind
        self._origin = self.image.width / 2, self.image.height - 0.05 * height * SUPERSAMPLING

    def depth(self, point: Point) -> float:
        """Towards the viewer is positive."""
        return point[2] * self.cos - point[0] * self.sin

    def at(self, point: Point) -> Pixel:
        """Pixel position of an (x, y, z) point."""
        across = point[0] * self.cos + point[2] * self.sin
        return self._origin[0] + across * self.scale, self._origin[1] - point[1] * self.scale

    def half_width(self, width: float, thickness: float) -> float:
        """Half-width in pixels of an upright elliptic cylinder."""
        return math.hypot(width * self.cos, thickness * self.sin) * self.scale

    def limb(self, start: Point, end: Point, start_width: float, end_width: float, colour: Colour) -> None:
        """A tapered, rounded segment between two points."""
        (x0, y0), (x1, y1) = self.at(start), self.at(end)
        r0, r1 = start_width / 2 * self.scale, end_width / 2 * self.scale
        length = math.hypot(x1 - x0, y1 - y0) or 1
        nx, ny = (y0 - y1) / length, (x1 - x0) / length
        outline = [(x0 + nx * r0, y0 + ny * r0), (x1 + nx * r1, y1 + ny * r1)]
        outline += [(x1 - nx * r1, y1 - ny * r1), (x0 - nx * r0, y0 - ny * r0)]
        self.draw.polygon(outline, fill=colour)
        self.disc(start, r0, r0, colour)
        self.disc(end, r1, r1, colour)

    def disc(self, centre: Point, rx: float, ry: float, colour: Colour, dx: float = 0.0) -> None:
        """An ellipse with radii in pixels, shifted by `dx` pixels."""
        x, y = self.at(centre)
        self.draw.ellipse((x + dx - rx, y - ry, x + dx + rx, y + ry), fill=colour)

    def paint(self, outline: Sequence[Pixel], texture: Callable[[Surface, Surface], Surface]) -> None:
        """Fills a polygon of pixel positions with a texture function (u, v) → RGB array; u, v in [0, 1] of its box."""
        xs, ys = zip(*outline, strict=True)
        box = [math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)) + 1, math.ceil(max(ys)) + 1]
        width, height = box[2] - box[0], box[3] - box[1]
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).polygon([(x - box[0], y - box[1]) for x, y in outline], fill=255)
        v, u = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
        self.image.paste(Image.fromarray(texture(u, v).astype(np.uint8)), (box[0], box[1]), mask)


class _Pose:
    """Joints of the walking skeleton; arms and legs swing against each other."""

    def __init__(self, person: Person, phase: float, stride: float) -> None:
        swing = stride * math.sin(phase)
        self.legs: dict[int, Limb] = {}
        self.arms: dict[int, Limb] = {}
        for side in (-1, 1):
            thigh = side * swing
            shin = thigh - 0.9 * stride * max(0.0, math.cos(phase) * side) - 0.05
            hip = (side * 0.058 * person.stout, 0.5, 0.0)
            knee = _swung(hip, 0.235, thigh)
            ankle = _swung(knee, 0.225, shin)
            self.legs[side] = hip, knee, ankle
            shoulder = (side * (0.092 + 0.03 * person.stout), 0.79, 0.0)
            elbow = _swung(shoulder, 0.165, -0.9 * side * swing, side * 0.02 * person.stout)
            wrist = _swung(elbow, 0.15, -0.9 * side * swing + 0.35, side * 0.005)
            self.arms[side] = shoulder, elbow, wrist


def _swung(joint: Point, length: float, angle: float, outwards: float = 0.0) -> Point:
    return joint[0] + outwards, joint[1] - length * math.cos(angle), joint[2] + length * math.sin(angle)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(v * factor)) for v in colour)
    return red, green, blue


def _draw_legs(canvas: _Canvas, person: Person, pose: _Pose) -> None:
    for side in sorted((-1, 1), key=lambda side: canvas.depth(pose.legs[side][1])):
        hip, knee, ankle = pose.legs[side]
        light = 1.0 if canvas.depth(knee) >= 0 else 0.8
        cloth, skin = _shade(person.lower, light), _shade(person.skin, light)
        thigh, calf = 0.1 * person.stout, 0.062 * (0.6 + 0.4 * person.stout)
        covered = person.lower_kind == "trousers"
        toe = (ankle[0], ankle[1] - 0.022, ankle[2] + 0.075)
        canvas.limb((ankle[0], ankle[1] - 0.018, ankle[2] - 0.015), toe, 0.05, 0.042, _shade(person.shoes, light))
        canvas.limb(
            knee,
            ankle,
            0.075 * (0.6 + 0.4 * person.stout),
            calf if covered else calf * 0.75,
            cloth if covered else skin,
        )
        canvas.limb(
            hip, knee, thigh, 0.08 * (0.6 + 0.4 * person.stout), skin if person.lower_kind == "skirt" else cloth
        )
    if person.lower_kind == "skirt":
        waist, flare = canvas.half_width(0.095 * person.stout, 0.07 * person.stout), canvas.half_width(0.13, 0.125)
        (x, top), (_, bottom) = canvas.at((0, 0.55, 0)), canvas.at((0, 0.29, 0))
        outline = [(x - waist, top), (x + waist, top), (x + flare, bottom), (x - flare, bottom)]
        canvas.paint(outline, lambda u, v: _cloth(person.lower, u, 0.2 * np.sin(40 * u)))


def _draw_torso(canvas: _Canvas, person: Person) -> None:
    shoulder = canvas.half_width(0.1 + 0.032 * person.stout, 0.062 * person.stout)
    chest = canvas.half_width(0.09 + 0.03 * person.stout, 0.075 * person.stout)
    waist = canvas.half_width(0.05 + 0.055 * person.stout, 0.072 * person.stout)
    hip = canvas.half_width(0.055 + 0.055 * person.stout, 0.075 * person.stout)
    rows = [(0.845, 0.35 * shoulder), (0.815, shoulder), (0.72, chest), (0.58, waist), (0.5, hip)]
    if person.hem < 0.5:
        rows.append((person.hem, hip * (1.0 + 0.5 * (0.5 - person.hem))))
    points = [(canvas.at((0, y, 0)), half) for y, half in rows]
    outline = [(x - half, y) for (x, y), half in points] + [(x + half, y) for (x, y), half in reversed(points)]
    canvas.limb((0, 0.8, 0), (0, 0.87, 0.005), 0.062, 0.055, _shade(person.skin, 0.86))
    canvas.paint(outline, lambda u, v: _garment(person, canvas, u, v))


def _garment(person: Person, canvas: _Canvas, u: Surface, v: Surface) -> Surface:
    """The upper garment's colours; the pattern turns with the body."""
    around = np.arcsin(np.clip(2 * u - 1, -1, 1)) - math.atan2(canvas.sin, canvas.cos)
    second = {
        "plain": lambda: np.zeros_like(u, bool),
        "stripes": lambda: np.sin(46 * v) > 0.15,
        "bars": lambda: np.sin(11 * around) > 0.3,
        "checks": lambda: (np.sin(30 * v) > 0) ^ (np.sin(9 * around) > 0),
        "logo": lambda: (np.abs((around + math.pi) % (2 * math.pi) - math.pi) < 0.5) & (v > 0.2) & (v < 0.48),
    }[person.pattern]()
    plain = _cloth(person.upper, u, 0.06 * np.sin(9 * u + 14 * v))
    return np.where(second[..., None], _cloth(person.upper_second, u, 0.0), plain)


def _cloth(colour: Colour, u: Surface, folds: Surface | float) -> Surface:
    """Cloth around a body: darker towards its edges, with folds."""
    light = 1.02 - 0.55 * np.abs(u - 0.5) ** 1.6 + folds
    return np.clip(np.array(colour) * light[..., None], 0, 255)


def _draw_arm(canvas: _Canvas, person: Person, arm: Limb, light: float) -> None:
    shoulder, elbow, wrist = arm
    cloth, skin = _shade(person.upper, light), _shade(person.skin, light)
    width = 0.06 * (0.5 + 0.5 * person.stout)
    canvas.limb(elbow, wrist, width * 0.82, width * 0.62, cloth if person.sleeves == "long" else skin)
    canvas.limb(shoulder, elbow, width * 1.1, width * 0.85, skin if person.sleeves == "none" else cloth)
    canvas.limb(wrist, (wrist[0], wrist[1] - 0.03, wrist[2] + 0.01), width * 0.66, width * 0.5, skin)


_CARRIED_AT = {"backpack": (0, 0.68, -0.12), "handbag": (-0.2, 0.42, 0.03), "satchel": (0.15, 0.48, 0.0)}


def _draw_carried(canvas: _Canvas, person: Person) -> None:
    x, y = canvas.at(_CARRIED_AT[person.carried])
    colour, s = person.carried_colour, canvas.scale
    if person.carried == "backpack":
        half = canvas.half_width(0.085, 0.055)
        box = (x - half, y - 0.12 * s, x + half, y + 0.13 * s)
        canvas.draw.rounded_rectangle(box, 0.035 * s, fill=colour)
        if canvas.facing < -0.3:
            pocket = (x - 0.7 * half, y + 0.02 * s, x + 0.7 * half, y + 0.11 * s)
            canvas.draw.rounded_rectangle(pocket, 0.02 * s, fill=_shade(colour, 0.75))
        return
    half = canvas.half_width(0.03, 0.085)
    canvas.draw.rounded_rectangle((x - half, y - 0.05 * s, x + half, y + 0.065 * s), 0.015 * s, fill=colour)
    if person.carried == "handbag":
        handle = (x - 0.6 * half, y - 0.11 * s, x + 0.6 * half, y)
        canvas.draw.arc(handle, 180, 360, fill=_shade(colour, 0.7), width=max(1, round(0.012 * s)))


def _draw_straps(canvas: _Canvas, person: Person) -> None:
    """Straps over the torso: two of a backpack, one across of a satchel."""
    width, colour = max(1, round(0.02 * canvas.scale)), _shade(person.carried_colour, 0.7)
    if person.carried == "backpack" and canvas.facing > 0.2:
        for x in (-0.075, 0.075):
            canvas.draw.line([canvas.at((x, 0.82, 0.03)), canvas.at((1.1 * x, 0.62, 0.03))], fill=colour, width=width)
    if person.carried == "satchel":
        z = 0.07 if canvas.facing > 0 else -0.07
        canvas.draw.line([canvas.at((-0.06, 0.825, z / 2)), canvas.at((0.14, 0.52, z))], fill=colour, width=width)


def _draw_head(canvas: _Canvas, person: Person) -> None:
    s = canvas.scale
    rx, ry = canvas.half_width(0.047, 0.056), 0.066 * s
    back = -0.018 * canvas.sin * s  # hair sits towards the back of the head
    if person.hair_style == "bun":
        canvas.disc((0, 0.975, -0.045), 0.03 * s, 0.028 * s, person.hair)
    if person.hair_style != "bald":
        canvas.disc((0, 0.932, 0.0), rx * 1.1, ry * 1.06, person.hair, back)
    if person.hair_style == "long" and canvas.facing <= 0.35:
        _draw_long_hair(canvas, person)
    if canvas.facing > -0.45 or person.hair_style == "bald":
        shift = 0.014 * canvas.sin * s
        narrow = 1.0 if person.hair_style == "bald" else min(0.98, 0.6 + 0.5 * max(0, canvas.facing + 0.45))
        canvas.disc((0, 0.916, 0.02), rx * narrow, ry * 0.92, person.skin, shift)
        if person.hair_style != "bald":  # fringe
            x, y = canvas.at((0, 0.968, 0.0))
            canvas.draw.ellipse(
                (x + back - rx * 1.02, y - 0.03 * s, x + back + rx * 1.02, y + 0.022 * s), fill=person.hair
            )
    if person.hair_style == "cap":
        x, y = canvas.at((0, 0.955, 0.0))
        canvas.draw.pieslice(
            (x - rx * 1.15, y - 0.05 * s, x + rx * 1.15, y + 0.05 * s), 180, 360, fill=person.carried_colour
        )
        brim = canvas.at((0, 0.957, 0.085))
        canvas.draw.line([(x, y), brim], fill=_shade(person.carried_colour, 0.8), width=max(1, round(0.016 * s)))


def _draw_long_hair(canvas: _Canvas, person: Person) -> None:
    half = canvas.half_width(0.06, 0.045)
    (x, top), (_, bottom) = canvas.at((0, 0.95, -0.025)), canvas.at((0, 0.76, -0.035))
    canvas.draw.rounded_rectangle((x - half, top, x + half, bottom), 0.4 * half, fill=_shade(person.hair, 0.95))
