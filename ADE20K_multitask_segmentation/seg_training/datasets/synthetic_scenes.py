"""Synthetic scenes of twelve classes, drawn by a program, in ADE20K's layout: the demo's data.

Colours are drawn from broad ranges that overlap between the classes, and the light changes from
scene to scene: texture, shape and place tell what something is, its colour hardly does.
"""

import colorsys
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from seg_training.as_written.bounded_json import read_json
from seg_training.commands.one_at_a_time import one_at_a_time
from seg_training.errors import UserError
from seg_training.files.atomic_writes import unfinished_folder

__all__ = ["GENERATOR_VERSION", "SCENE_CLASSES", "draw_scene", "generate_scenes"]

#: To be raised whenever the pictures change, so that scenes of an older program are not reused.
GENERATOR_VERSION = 2

#: The classes; a class's pixel value is its position + 1, and 0 is other.
SCENE_CLASSES: tuple[str, ...] = (
    *("sky", "grass", "water", "road", "brick wall", "wooden floor"),
    *("tree", "house", "car", "ball", "flag", "rug"),
)

_OTHER = "other"
_GROUNDS = ("grass", "water", "road", "wooden floor")
_SIZES = ((144, 192), (150, 200), (160, 200), (192, 160))  # height, width
_MIN_SHARE = 0.025  # of the image, for every class in it: no slivers that nobody could find

_Floats = NDArray[np.float32]
_Mask = NDArray[np.bool_]
_Rng = np.random.Generator


def _colour(
    rng: _Rng,
    hue: float | None,
    light: tuple[float, float] = (0.35, 0.9),
    saturation: tuple[float, float] = (0.1, 0.6),
) -> _Floats:
    """Draw a colour (3, 1, 1): the hue (degrees) is only a tendency, or any if None."""
    hue = rng.uniform(0, 360) if hue is None else rng.normal(hue, 25)
    rgb = colorsys.hsv_to_rgb(hue / 360 % 1, rng.uniform(*saturation), rng.uniform(*light))
    return np.array(rgb, np.float32).reshape(3, 1, 1)


def _noise(rng: _Rng, shape: tuple[int, ...], cell: tuple[float, float]) -> _Floats:
    """Draw smooth noise (H, W) in about [0, 1] whose spots are ``cell`` pixels (high, wide)."""
    height, width = shape
    rows, columns = round(height / cell[0]) + 2, round(width / cell[1]) + 2
    grid = rng.random((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _mix(below: _Floats, above: _Floats, amount: _Floats | _Mask) -> _Floats:
    """Blend two colours or pictures (3, H, W); ``amount`` (H, W) is 1 where ``above`` shows."""
    if amount.dtype == np.bool_:
        return np.where(amount, above, below)
    return below + (above - below) * amount


def _grey(value: float) -> _Floats:
    return np.full((3, 1, 1), value, np.float32)


def _fraction(values: _Floats) -> _Floats:
    return values - np.floor(values)


# Surfaces: (u, v, rng) -> picture (3, H, W), with u, v (H, W) in image heights. Those that lie
# on the ground get u to the right and v towards the horizon, as seen in perspective.


def _sky(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    picture = _mix(_colour(rng, 215), _colour(rng, 30, (0.6, 1.0)), np.clip(v * 1.6, 0, 1))
    clouds = np.clip(3 * _noise(rng, v.shape, (14, 36)) - 1.6, 0, 0.85)
    return _mix(picture, _grey(1), clouds)


def _grass(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    blades = _noise(rng, u.shape, (12, 3.5))
    return _mix(_colour(rng, 100) * 0.4, _colour(rng, 80, (0.6, 1.0)), np.clip(blades, 0, 1))


def _water(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    bend = 0.35 * np.sin(9 * u + rng.uniform(0, 6)) + 1.2 * _noise(rng, u.shape, (30, 40))
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(11, 15) * v + bend))
    deep = _colour(rng, 205, (0.3, 0.8))
    return _mix(deep, 0.35 * deep + 0.65, waves**4)


def _road(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    asphalt = _mix(_colour(rng, 230) * 0.8, _grey(0), 0.35 * rng.random(u.shape, np.float32))
    lane = _fraction(u / rng.uniform(0.35, 0.5) + rng.random())
    dashes = (np.abs(lane - 0.5) < 0.07) & (_fraction(v * 4 + rng.random()) < 0.6)
    return _mix(asphalt, _grey(0.95), dashes)


def _brick_wall(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    scale = rng.uniform(9, 13)
    rows = v * scale
    row = np.floor(rows).astype(int)
    columns = (u * scale / 2.2 + 0.5 * (row % 2)).astype(np.float32)
    shades = rng.uniform(0.7, 1.15, (64, 64)).astype(np.float32)
    bricks = _colour(rng, 15) * shades[row % 64, np.floor(columns).astype(int) % 64]
    mortar = (_fraction(rows) < 0.2) | (_fraction(columns) < 0.1)
    return _mix(bricks, _grey(float(rng.choice([0.2, 0.9]))), mortar)


def _wooden_floor(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    across = u * rng.uniform(7, 10)
    plank = np.floor(across).astype(int) % 64
    shades = rng.uniform(0.7, 1.2, 64).astype(np.float32)
    ends = _fraction(v * 2.5 + rng.random(64).astype(np.float32)[plank]) < 0.06
    grain = 0.92 + 0.16 * _noise(rng, u.shape, (12, 3))
    wood = _colour(rng, 30) * (shades[plank] * grain)
    return _mix(wood, wood * 0.25, ends | (_fraction(across) < 0.12))


def _plain(u: _Floats, v: _Floats, rng: _Rng) -> _Floats:
    return _colour(rng, None) * np.ones(u.shape, np.float32)


_SURFACES: dict[str, Callable[[_Floats, _Floats, _Rng], _Floats]] = {
    "sky": _sky,
    "grass": _grass,
    "water": _water,
    "road": _road,
    "brick wall": _brick_wall,
    "wooden floor": _wooden_floor,
    _OTHER: _plain,
}


# Things: (u, v, rng) -> where it is (H, W) and its picture (3, H, W), with u, v (H, W) measured
# from its middle in halves of its height, v downwards.

_Drawn = tuple[_Mask, _Floats]


def _tree(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    trunk = (np.abs(u) < 0.1) & (v > -0.2) & (v < 1)
    crown = np.zeros(u.shape, bool)
    for angle in np.linspace(0, 2 * np.pi, 6, endpoint=False) + rng.random():
        middle, radius = (0.3 * np.cos(angle), 0.3 * np.sin(angle) - 0.4), rng.uniform(0.25, 0.4)
        crown |= (u - middle[0]) ** 2 + (v - middle[1]) ** 2 < radius**2
    leaves = np.clip(2.4 * _noise(rng, u.shape, (4, 4)) - 0.7, 0, 1)
    foliage = _mix(_colour(rng, 110) * 0.4, _colour(rng, 90, (0.6, 1.0)), leaves)
    bark = _colour(rng, 25, (0.25, 0.5))
    return trunk | crown, _mix(bark, foliage, crown)


def _house(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    walls = (np.abs(u) < 0.8) & (v > -0.1) & (v < 1)
    roof = (np.abs(u) < 1.1 * (v + 1)) & (v <= 0)
    chimney = (np.abs(u - 0.5) < 0.1) & (v > -0.9) & (v < -0.3)
    tiles = _mix(_colour(rng, 10), _grey(0), 0.55 * (_fraction(v * 5) < 0.4))
    picture = _mix(_colour(rng, 45, (0.5, 1.0)), tiles, roof | chimney)
    for side in (-0.45, 0.45):
        beside, level = np.abs(u - side), np.abs(v - 0.32)
        picture = _mix(picture, _grey(1), (beside < 0.23) & (level < 0.23))
        pane = (beside < 0.17) & (level < 0.17) & (beside > 0.03) & (level > 0.03)
        picture = _mix(picture, _colour(rng, 220, (0.1, 0.4)), pane)
    door = (np.abs(u) < 0.15) & (v > 0.4) & (v < 1)
    return walls | roof | chimney, _mix(picture, _colour(rng, 20, (0.15, 0.4)), door)


def _car(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    body = np.hypot(np.clip(np.abs(u) - 1.7, 0, 3), np.clip(np.abs(v - 0.2) - 0.1, 0, 3)) < 0.4
    cabin = (np.abs(u) < 1.4 + 0.6 * v) & (v > -1) & (v < 0)
    glass = (np.abs(u) < 1.2 + 0.6 * v) & (v > -0.82) & (v < -0.2) & (np.abs(u) > 0.08)
    lamp = (u - 1.9) ** 2 + (v - 0.15) ** 2 < 0.03
    paint = _colour(rng, 0, (0.4, 1.0), (0.4, 0.9))
    picture = _mix(paint, paint * 0.4, np.abs(v - 0.25) < 0.07)
    picture = _mix(picture, _colour(rng, 200, (0.7, 1.0)), glass)
    picture = _mix(picture, _grey(1), lamp)
    wheels = np.zeros(u.shape, bool)
    for axle in (-1.2, 1.2):
        distance = np.hypot(u - axle, v - 0.6)
        wheels |= distance < 0.42
        picture = _mix(_mix(picture, _grey(0.08), distance < 0.42), _grey(0.8), distance < 0.2)
    return body | cabin | wheels, picture


def _ball(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    one, two = _colour(rng, None, (0.8, 1.0), (0.0, 0.1)), _colour(rng, 60, (0.5, 0.9), (0.6, 1))
    angle = np.arctan2(v + 0.2, u - 0.2) / (2 * np.pi)
    picture = _mix(one, two, _fraction(angle * 4) < 0.5)
    shade = 1.15 - 0.3 * ((u + 0.35) ** 2 + (v + 0.35) ** 2)
    return u**2 + v**2 < 1, picture * np.clip(shade, 0.3, None)


def _flag(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    pole = (np.abs(u + 0.85) < 0.06) & (np.abs(v) < 1)
    phase = 4.5 * u + rng.uniform(0, 6)
    height = v + 0.09 * np.sin(phase)
    cloth = (np.abs(u) < 0.9) & (height > -0.9) & (height < 0.25)
    stripe = np.floor((height + 0.9) / 1.15 * int(rng.choice([3, 5])))
    one, two = _colour(rng, 280, (0.8, 1.0), (0.0, 0.6)), _colour(rng, 280, (0.3, 0.7), (0.6, 1))
    picture = _mix(one, two, stripe % 2 == rng.integers(2))
    folds = 0.9 + 0.2 * np.sin(phase + 1)
    return pole | cloth, _mix(picture * folds, _colour(rng, 40, (0.3, 0.9)), pole)


def _rug(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    edge = np.maximum(np.abs(u) / 1.4, np.abs(v))
    one, two = _colour(rng, 330, (0.2, 0.4)), _colour(rng, 330, (0.75, 1.0))
    checks = (np.floor(u * 2.5) + np.floor(v * 2.5)) % 2 == 0
    return edge < 1, _mix(_mix(one, two, checks), one, edge > 0.88)


def _rock(u: _Floats, v: _Floats, rng: _Rng) -> _Drawn:
    angle = np.arctan2(v, u)
    radius = 0.85 + 0.1 * np.sin(3 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(7 * angle)
    return np.hypot(u, v) < radius, _plain(u, v, rng) * (0.85 - 0.3 * v)


class _Thing(NamedTuple):
    draw: Callable[[_Floats, _Floats, _Rng], _Drawn]
    half_height: float  # in image heights, for one in the foreground
    turn: float  # degrees, at most
    flatness: float = 1.0  # seen height by length, for what lies on the ground
    shadow: float = 0.0  # half its width


_THINGS = {
    "tree": _Thing(_tree, 0.38, 8, shadow=0.6),
    "house": _Thing(_house, 0.31, 6, shadow=1.0),
    "car": _Thing(_car, 0.22, 12, shadow=2.0),
    "ball": _Thing(_ball, 0.23, 180, shadow=0.8),
    "flag": _Thing(_flag, 0.34, 15),
    "rug": _Thing(_rug, 0.33, 180, flatness=0.5),
    _OTHER: _Thing(_rock, 0.13, 20, shadow=0.9),
}


class _Canvas:
    """A scene in the making: its picture, its labels and the coordinates of its pixels."""

    def __init__(self, height: int, width: int, rng: _Rng) -> None:
        self.rng = rng
        self.image = np.zeros((3, height, width), np.float32)
        self.labels = np.zeros((height, width), np.uint8)
        self.present: set[int] = set()  # values of classes; a class may not be covered entirely
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        self.y, self.x, self.width = rows / height, columns / height, width / height

    def paint(self, name: str, where: _Mask, picture: _Floats) -> bool:
        """Paint unless that would leave too little of the new class or of one below it."""
        value = 0 if name == _OTHER else SCENE_CLASSES.index(name) + 1
        labels = np.where(where, np.uint8(value), self.labels)
        shares = np.bincount(labels.ravel(), minlength=len(SCENE_CLASSES) + 1) / labels.size
        present = self.present | ({value} - {0})
        if any(shares[one] < _MIN_SHARE for one in present):
            return False
        self.labels, self.present = labels, present
        np.copyto(self.image, picture, where=where)
        return True

    def surface(self, name: str, where: _Mask, horizon: float | None = None) -> None:
        """Paint a surface, upright or (below a horizon) lying on the ground."""
        u, v = self.x, self.y
        if horizon is not None:
            # The half keeps the texture at the horizon coarse enough to be seen at 128 pixels.
            distance = 1 / np.clip(v - horizon + 0.5, 0.5, None)
            u, v = (u - self.width / 2) * 0.7 * distance, 0.5 * distance
        self.paint(name, where, _SURFACES[name](u, v, self.rng))

    def thing(self, name: str, place: float, foot: float, nearness: float) -> None:
        """Put a thing at ``place`` (0 left, 1 right), its foot at ``foot`` (0 top, 1 bottom)."""
        rng, kind = self.rng, _THINGS[name]
        half = kind.half_height * (0.7 + 0.3 * nearness) * rng.uniform(0.85, 1.15)
        x = self.x - place * self.width
        middle = foot - half if kind.flatness == 1 else foot
        y = (self.y - middle) / kind.flatness
        turn = math.radians(rng.uniform(-kind.turn, kind.turn))
        u = (math.cos(turn) * x + math.sin(turn) * y) / half
        v = (math.cos(turn) * y - math.sin(turn) * x) / half
        where, picture = kind.draw(-u if rng.random() < 0.5 else u, v, rng)
        if self.paint(name, where, picture) and kind.shadow:
            shadow = (x / half / kind.shadow) ** 2 + ((y / half - 1) / 0.15) ** 2 < 1
            self.image *= np.where(shadow & ~where, np.float32(0.6), np.float32(1))

    def photograph(self) -> NDArray[np.uint8]:
        """Light the picture from one side, tint it, add noise; (H, W, 3)."""
        rng = self.rng
        direction = rng.uniform(0, 2 * math.pi)
        across = math.cos(direction) * (self.x / self.width - 0.5)
        light = rng.uniform(0.85, 1.2) + 0.3 * (across + math.sin(direction) * (self.y - 0.5))
        tint = rng.uniform(0.85, 1.1, (3, 1, 1)).astype(np.float32)
        image = np.ascontiguousarray((self.image * light * tint).transpose(1, 2, 0))
        image = cv2.GaussianBlur(image, (3, 3), 0.5)
        noise = rng.uniform(0.005, 0.03) * rng.standard_normal(image.shape, np.float32)
        photograph: NDArray[np.uint8] = np.clip((image + noise) * 255, 0, 255).astype(np.uint8)
        return photograph


def _outdoors(canvas: _Canvas) -> float:
    """Paint sky and ground; returns where the ground begins."""
    rng, x, y = canvas.rng, canvas.x, canvas.y
    horizon = rng.uniform(0.28, 0.5)
    canvas.surface("sky", np.ones(y.shape, bool))
    background = rng.random()
    if background < 0.3:
        canvas.surface("brick wall", y > horizon - rng.uniform(0.12, 0.25))
    elif background < 0.6:
        hills = 0.06 * np.sin(rng.uniform(3, 8) * x + rng.uniform(0, 6))
        canvas.surface(_OTHER, y > horizon - 0.08 - hills)
    far, near = rng.choice(_GROUNDS, 2, replace=False, p=(0.33, 0.3, 0.27, 0.1))
    canvas.surface(far, y > horizon, horizon)
    if rng.random() < 0.75:
        bank = 0.25 * rng.normal() * (x / canvas.width - 0.5)
        bank = bank + 0.02 * np.sin(rng.uniform(4, 12) * x)
        canvas.surface(near, y > horizon + rng.uniform(0.2, 0.35) + bank, horizon)
    return horizon


def _indoors(canvas: _Canvas) -> float:
    """Paint wall and floor; returns where the floor begins."""
    rng, x, y = canvas.rng, canvas.x, canvas.y
    horizon = rng.uniform(0.4, 0.6)
    # Either may be plain, but not both: no scene is without a class.
    plain = rng.random()
    wall = _OTHER if plain < 0.2 else "brick wall"
    floor = _OTHER if plain > 0.8 else "wooden floor"
    canvas.surface(wall, np.ones(y.shape, bool))
    if rng.random() < 0.6:
        aside = np.abs(x - rng.uniform(0.25, 0.75) * canvas.width)
        aside, level = aside / rng.uniform(0.2, 0.35), np.abs(y - 0.2) / 0.16
        canvas.surface(_OTHER, np.maximum(aside, level) < 1)
        canvas.surface("sky", np.maximum(aside, level) < 0.85)
    canvas.surface(floor, y > horizon, horizon)
    return horizon


def draw_scene(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one scene.

    Args:
        rng: the source of all that varies.

    Returns:
        The image (H, W, 3) uint8 RGB, and its label map (H, W) uint8 with 0 for other and k + 1
        for class k. Every class in it covers at least 2.5 percent of the image.
    """
    canvas = _Canvas(*_SIZES[rng.integers(len(_SIZES))], rng)
    if rng.random() < 0.65:
        ground, names = _outdoors(canvas), ["tree", "house", "car", "ball", "flag", "rug"]
    else:
        ground, names = _indoors(canvas), ["ball", "flag", "rug", "tree"]
    # From the back to the front, so that the nearer thing hides the farther one.
    chosen = rng.permutation([*names, _OTHER])[: rng.integers(3, 6)].tolist()
    places = (rng.permutation(len(chosen)) + rng.random(len(chosen))) / len(chosen)
    depths = np.sort(rng.random(len(chosen)))
    for name, place, nearness in zip(chosen, places.tolist(), depths.tolist(), strict=True):
        canvas.thing(name, place, ground + 0.12 + nearness * (0.9 - ground), nearness)
    return canvas.photograph(), canvas.labels


def generate_scenes(root: Path, num_training: int, num_validation: int, seed: int) -> None:
    """Write scenes to ``root`` in ADE20K's layout, unless the same ones are there already.

    Scene i of a split depends on the seed, the split and i only. The folder appears under its
    name when it is complete.

    Args:
        root: the folder to make, with ``images/{training,validation}/*.jpg``,
            ``annotations/{training,validation}/*.png`` and ``scenes.json``.
        num_training: how many scenes to train on.
        num_validation: how many scenes to validate on.
        seed: what to draw; any number from 0.

    Raises:
        UserError: ``root`` holds something else.
    """
    root = root.resolve()
    record = {
        "generator_version": GENERATOR_VERSION,
        "num_training": num_training,
        "num_validation": num_validation,
        "seed": seed,
    }
    if _found(root, record):
        return
    with one_at_a_time(root, f"draws scenes into {root}"):
        if not _found(root, record):
            _draw(root, record)


def _draw(root: Path, record: dict[str, int]) -> None:
    with unfinished_folder(root) as unfinished:
        folder = unfinished / root.name
        splits = (("training", "train"), ("validation", "val"))
        for number, (split, short) in enumerate(splits):
            count = record[f"num_{split}"]
            images, annotations = folder / "images" / split, folder / "annotations" / split
            images.mkdir(parents=True)
            annotations.mkdir(parents=True)
            for i in track(range(1, count + 1), description=f"drawing {split} scenes"):
                image, labels = draw_scene(np.random.default_rng([record["seed"], number, i]))
                name = f"scene_{short}_{i:08d}"
                Image.fromarray(image).save(images / f"{name}.jpg", quality=92)
                Image.fromarray(labels).save(annotations / f"{name}.png")
        (folder / "scenes.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        try:
            folder.rename(root)  # an empty folder is replaced
        except OSError:
            if not _found(root, record):  # without locks another process may have been faster
                raise


def _found(root: Path, record: dict[str, int]) -> bool:
    """Whether these scenes are there; UserError if something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = read_json((root / "scenes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found == record:
        return True
    what = "something else" if found is None else f"other scenes ({found})"
    raise UserError(
        f"{root} holds {what}, not the scenes asked for ({record}): "
        "delete it, or choose another folder for the scenes"
    )
