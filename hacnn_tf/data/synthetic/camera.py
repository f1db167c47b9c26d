"""Procedural cameras: each has its own place, light, optics and detector."""

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from hacnn_tf.data.synthetic.person import Colour, Person, draw_person

PLACES = ["street", "park", "hall", "square"]
VIEW = (900, 480)  # width and height of a camera's background, in pixels
OCCLUDED = 0.3  # share of images in which something covers a part of the person
Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


@dataclasses.dataclass(frozen=True)
class Moment:
    """How a camera sees a person.

    Attributes:
        height: of an average person there, in pixels.
        left, top: where in the background the scene begins, in pixels.
        yaw, phase, stride: the pose, in radians, as in `draw_person`.
    """

    height: int
    left: int
    top: int
    yaw: float
    phase: float
    stride: float


@dataclasses.dataclass(frozen=True)
class Camera:
    """What a camera keeps from image to image.

    Attributes:
        background: RGB image of its place.
        person_height: of an average person, in pixels.
        yaw: the way that people mostly face, in radians.
        gains: `(3,)` colour cast, factors of R, G, B.
        gamma: tone curve; above 1 darkens.
        light: from -1 (from the left) to 1 (from the right).
        blur: radius in pixels.
        noise: standard deviation in grey levels.
        box_error: standard deviation of the detector's errors, in box sizes.
    """

    background: Image.Image
    person_height: int
    yaw: float
    gains: np.ndarray
    gamma: float
    light: float
    blur: float
    noise: float
    box_error: float

    @classmethod
    def random(cls, rng: np.random.Generator, place: str, yaw: float) -> "Camera":
        """A camera at one of `PLACES`, drawn from `numpy.random.Generator` `rng`."""
        return cls(
            background=_background(rng, place),
            person_height=int(rng.integers(120, 190)),
            yaw=yaw,
            gains=np.clip(rng.normal(1.0, 0.1, 3), 0.75, 1.25),
            gamma=rng.uniform(0.8, 1.35),
            light=rng.uniform(-1, 1),
            blur=rng.uniform(0.3, 1.1),
            noise=rng.uniform(2, 9),
            box_error=rng.uniform(0.07, 0.1),
        )

    def moment(self, rng: np.random.Generator) -> Moment:
        """Somebody somewhere before the camera, drawn from `numpy.random.Generator` `rng`."""
        height = int(self.person_height * rng.uniform(0.88, 1.12))
        width, tall = _scene_size(height)
        left = int(rng.integers(0, self.background.width - width))
        top = min(int(rng.integers(90, 140)), self.background.height - tall)
        yaw = (
            self.yaw
            + rng.normal(0, 0.35)
            + rng.choice([0.0, math.pi / 2, -math.pi / 2, math.pi], p=[0.62, 0.12, 0.12, 0.14])
        )
        return Moment(height, left, top, yaw, phase=rng.uniform(0, 2 * math.pi), stride=rng.uniform(0.25, 0.55))

    def passage(self, rng: np.random.Generator, frames: int) -> list[Moment]:
        """Somebody who walks past the camera, as far as its background goes, some steps between two frames.

        Args:
            rng: `numpy.random.Generator`.
            frames: how many moments.

        Returns:
            List of `Moment`s.
        """
        first = self.moment(rng)
        farthest = self.background.width - _scene_size(first.height)[0]
        pace = math.sin(first.yaw) * rng.uniform(0.3, 0.6) * first.height  # who faces the camera stays where they are
        return [
            dataclasses.replace(
                first,
                left=round(min(max(first.left + i * pace, 0), farthest)),
                yaw=first.yaw + rng.normal(0, 0.1),
                phase=first.phase + rng.normal(2.4 * i, 0.3),
            )
            for i in range(frames)
        ]

    def photograph(
        self, person: Person, rng: np.random.Generator, passer_by: Person, moment: Moment | None = None
    ) -> tuple[Image.Image, Box]:
        """A scene with a person in it, still to be developed.

        Args:
            person: the `Person`.
            rng: `numpy.random.Generator`.
            passer_by: the `Person` who may cover a part of the first.
            moment: how the person is seen; drawn if None.

        Returns:
            RGB image, and the tight box (left, top, right, bottom) of the person in it, in pixels.
        """
        moment = moment or self.moment(rng)
        height, left, top = moment.height, moment.left, moment.top
        width, tall = _scene_size(height)
        scene = self.background.crop((left, top, left + width, top + tall))
        figure = draw_person(person, moment.yaw, moment.phase, moment.stride, height)
        figure = _lit(figure, self.light)
        x, y = (width - figure.width) // 2, tall - figure.height - round(0.28 * height)
        _cast_shadow(scene, x + figure.width / 2, y + figure.height - 0.05 * height, height, self.light)
        scene.paste(figure, (x, y), figure)
        box = tuple(np.add(np.array(figure.getbbox()), (x, y, x, y)).tolist())
        if rng.random() < OCCLUDED:
            _occlude(scene, box, rng, passer_by, height, self.light)
        return scene, box

    def box(self, tight: Box, rng: np.random.Generator, detected: bool) -> Box:
        """A box around the person: tight as a person would draw it, or with a detector's errors.

        Args:
            tight: (left, top, right, bottom) in pixels.
            rng: `numpy.random.Generator`.
            detected: with the detector's errors of place and size.

        Returns:
            (left, top, right, bottom) in pixels.
        """
        left, top, right, bottom = tight
        width, height = max(right - left, 0.38 * (bottom - top)), bottom - top
        error = self.box_error if detected else 0.01
        x = (left + right) / 2 + rng.normal(0, 1.3 * error) * width
        y = (top + bottom) / 2 + rng.normal(0, error) * height
        scale = 1.04 * math.exp(rng.normal(0.4 * error, 1.4 * error))
        half_width, half_height = scale * width / 2, scale * height / 2
        return round(x - half_width), round(y - half_height), round(x + half_width), round(y + half_height)

    def develop(self, scene: Image.Image, rng: np.random.Generator) -> Image.Image:
        """What lens and sensor make of a part of a scene; exposure and white balance vary a little every time.

        Args:
            scene: RGB image.
            rng: `numpy.random.Generator`.

        Returns:
            RGB image of the same size.
        """
        scene = scene.filter(ImageFilter.GaussianBlur(self.blur * rng.uniform(0.7, 1.5)))
        tones = np.linspace(0, 1, 256) ** (self.gamma * rng.uniform(0.94, 1.06))
        gains = self.gains * rng.uniform(0.92, 1.06) * rng.normal(1, 0.02, 3)
        curves = 255 * (gains[:, None] * tones + rng.uniform(0, 0.04))
        pixels = np.asarray(scene.point(np.clip(curves, 0, 255).astype(int).ravel().tolist()), np.float32)
        pixels = pixels + self.noise * rng.standard_normal(pixels.shape, np.float32)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _scene_size(height: int) -> tuple[int, int]:
    """Width and height in pixels of what is seen around a person."""
    return round(1.8 * height), round(1.65 * height)


def _lit(figure: Image.Image, light: float) -> Image.Image:
    """A figure under light from one side."""
    pixels = np.asarray(figure, np.float32).copy()
    across = np.linspace(-1, 1, figure.width)[None, :, None]
    pixels[..., :3] *= 1 + 0.5 * light * across * (np.abs(across) < 0.6)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _cast_shadow(scene: Image.Image, x: float, y: float, height: int, light: float) -> None:
    shadow = Image.new("L", scene.size)
    reach = -light * 0.25 * height
    box = sorted([x - 0.16 * height, x + reach + math.copysign(0.16 * height, reach)])
    ImageDraw.Draw(shadow).ellipse((box[0], y - 0.03 * height, box[1], y + 0.035 * height), fill=110)
    scene.paste((20, 20, 24), (0, 0), shadow.filter(ImageFilter.GaussianBlur(0.02 * height)))


def _occlude(
    scene: Image.Image, box: Box, rng: np.random.Generator, passer_by: Person, height: int, light: float
) -> None:
    """A post, a bollard, or someone passing by in front."""
    left, _, right, bottom = box
    x = rng.uniform(left, right)
    draw = ImageDraw.Draw(scene)
    grey = int(rng.integers(50, 150))
    kind = rng.choice(["post", "bollard", "passer-by"], p=[0.3, 0.2, 0.5])
    if kind == "post":
        width = rng.uniform(0.03, 0.07) * height
        draw.rectangle((x - width, 0, x + width, scene.height), fill=(grey, grey, grey + 5))
        draw.rectangle((x + 0.4 * width, 0, x + width, scene.height), fill=(grey - 25, grey - 25, grey - 22))
    elif kind == "bollard":
        width, rise = 0.09 * height, rng.uniform(0.25, 0.45) * height
        draw.rounded_rectangle(
            (x - width, bottom - rise, x + width, scene.height), 0.05 * height, fill=(grey, grey - 10, grey - 20)
        )
    else:
        figure = draw_person(passer_by, rng.uniform(0, 2 * math.pi), rng.uniform(0, 6.28), 0.4, round(1.06 * height))
        side = rng.choice([-1, 1])
        x = (left + right) / 2 + side * rng.uniform(0.2, 0.34) * height - figure.width / 2
        y = bottom - figure.height + round(rng.uniform(0.08, 0.2) * height)
        figure = _lit(figure, light)
        scene.paste(figure, (round(x), y), figure)


def _background(rng: np.random.Generator, place: str) -> Image.Image:
    """RGB image of a place: something upright, then the ground from about a third down."""
    width, height = VIEW
    horizon = int(rng.integers(130, 180))
    image = Image.new("RGB", VIEW)
    draw = ImageDraw.Draw(image)
    _PLACES[place](draw, rng, width, height, horizon)
    image = image.filter(ImageFilter.GaussianBlur(1.0))
    coarse = Image.fromarray(rng.normal(0, 12, (height // 24, width // 24)).astype(np.float32))
    mottle = np.asarray(coarse.resize(VIEW, Image.Resampling.BICUBIC))[..., None]
    pixels = np.asarray(image, np.float32) + mottle + rng.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _street(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    """A brick wall with windows, a pavement, the road's edge."""
    draw.rectangle((0, 0, width, horizon), fill=(142, 92, 76))
    for y in range(0, horizon, 9):
        draw.line((0, y, width, y), fill=(168, 130, 112))
        for x in range((y // 9 % 2) * 11, width, 22):
            draw.line((x, y, x, y + 9), fill=(168, 130, 112))
    for x in range(40, width, 170):
        draw.rectangle((x, 10, x + 70, horizon - 40), fill=(58, 70, 84), outline=(210, 206, 198), width=5)
    draw.rectangle((0, horizon, width, height), fill=(150, 148, 144))
    _tiles(draw, width, height, horizon, 60, (128, 126, 122))
    draw.rectangle((0, height - 60, width, height), fill=(84, 84, 88))
    draw.rectangle((0, height - 66, width, height - 58), fill=(190, 188, 182))


def _park(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    """A hedge and trees, a lawn, a gravel path."""
    draw.rectangle((0, 0, width, horizon), fill=(150, 176, 190))
    for _ in range(260):
        x, y, r = rng.uniform(0, width), rng.uniform(20, horizon + 12), rng.uniform(10, 34)
        green = int(rng.integers(60, 120))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(green // 2, green, green // 3))
    for x in range(60, width, 210):
        draw.rectangle((x, 20, x + 16, horizon + 30), fill=(78, 60, 44))
    draw.rectangle((0, horizon, width, height), fill=(96, 132, 62))
    for _ in range(1500):
        x, y = rng.uniform(0, width), rng.uniform(horizon, height)
        draw.line((x, y, x + rng.normal(0, 2), y - 6), fill=(70, int(rng.integers(100, 150)), 48))
    draw.polygon([(0, height - 120), (width, height - 70), (width, height), (0, height)], fill=(178, 164, 136))


def _hall(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    """A bright wall with doors and posters, a polished floor."""
    draw.rectangle((0, 0, width, horizon), fill=(206, 204, 192))
    for x in range(30, width, 150):
        colour = tuple(int(v) for v in rng.integers(60, 220, 3))
        draw.rectangle((x, 30, x + 46, horizon - 40), fill=colour)
        draw.rectangle((x + 70, 14, x + 128, horizon), fill=(120, 96, 70), outline=(90, 70, 52), width=4)
    draw.rectangle((0, horizon - 8, width, horizon), fill=(96, 98, 100))
    for y in range(horizon, height):
        shade = 176 - 50 * (y - horizon) / (height - horizon)
        draw.line((0, y, width, y), fill=(int(shade), int(shade), int(shade + 6)))
    _tiles(draw, width, height, horizon, 90, (136, 138, 146))


def _square(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    """Glass fronts, paving slabs, a flower bed."""
    draw.rectangle((0, 0, width, horizon), fill=(92, 112, 128))
    for x in range(0, width, 64):
        blue = int(rng.integers(90, 170))
        draw.rectangle((x + 3, 0, x + 60, horizon - 14), fill=(blue - 40, blue - 15, blue))
    draw.rectangle((0, horizon - 14, width, horizon), fill=(60, 62, 66))
    draw.rectangle((0, horizon, width, height), fill=(186, 174, 154))
    _tiles(draw, width, height, horizon, 46, (160, 150, 132))
    for x in range(20, width, 320):
        draw.rectangle((x, horizon - 10, x + 150, horizon + 22), fill=(104, 92, 80))
        for _ in range(50):
            a, b = rng.uniform(x, x + 150), rng.uniform(horizon - 22, horizon + 2)
            colour = (210, 60, 80) if rng.random() < 0.3 else (60, 110, 60)
            draw.ellipse((a - 5, b - 5, a + 5, b + 5), fill=colour)


def _tiles(draw: ImageDraw.ImageDraw, width: int, height: int, horizon: int, size: int, colour: Colour) -> None:
    """Joints of a tiled floor, closer together towards the horizon."""
    for i in range(1, 14):
        y = horizon + (height - horizon) * (i / 14) ** 1.7
        draw.line((0, y, width, y), fill=colour, width=2)
    for x in range(-width, 2 * width, size):
        draw.line((width / 2 + (x - width / 2) * 0.55, horizon, x, height), fill=colour, width=2)


_PLACES = dict(zip(PLACES, [_street, _park, _hall, _square], strict=True))
