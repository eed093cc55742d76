"""An object detector out of a model file: ONNX in the layout of YOLOX, run by OpenCV.

The layout (Megvii YOLOX, demo/ONNXRuntime): the picture, blue-green-red, 0 to 255, is scaled into the upper left
corner of the input and padded with 114; the output has one row per cell of the strides 8, 16 and 32: x, y, log w,
log h in cells, objectness, and one mark per class.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.skyeye.analysis.geometry import Box
from agent.skyeye.analysis.onnxfile import BadOnnx, input_shape
from agent.skyeye.model import Image
from agent.texts import Spoken, say

STRIDES: Final = (8, 16, 32)
PAD: Final = 114
DEFAULT_SIDE: Final = 416
"""The input of YOLOX-nano and -tiny, for a model that leaves it open: what a small core can do."""
SIDE_MAX: Final = 1280
FILE_MAX_BYTES: Final = 512 << 20
"""YOLOX-x, the largest, has 400 MB."""
LEAST_SCORE: Final = 0.35
"""Below the 0.5 of demonstrations: a tracker has to see the same thing several times before it counts."""
NMS_IOU: Final = 0.5
MOST: Final = 200
"""Of one picture; no crowd that is larger can be counted in a small stream anyway."""


class DetectorError(Spoken):
    """The model cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Something found. The box is in parts of the picture."""

    box: Box
    label: str
    score: float


class Detector:
    """One loaded model, shared by all cameras; one picture at a time. Loading takes seconds and memory."""

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        """Load and try the model. Raises DetectorError."""
        data = _read(path)
        try:
            shape = input_shape(data)
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        except (BadOnnx, cv2.error) as error:
            raise DetectorError(say("analysis.detector-broken", path=path, error=_brief(error))) from error
        self.size = _size(path, shape)
        """Width and height of the input."""
        self._classes = tuple(classes)
        self._grid, self._stride = cells(self.size)
        self._lock = threading.Lock()
        rows, marks = len(self._grid), 5 + len(classes)
        try:
            given = self._forward(np.full((self.size[1], self.size[0], 3), PAD, np.uint8)).shape
        except cv2.error as error:
            raise DetectorError(say("analysis.detector-fails", path=path, error=_brief(error))) from error
        if len(given) != 3 or given[:2] != (1, rows) or given[2] < marks:
            got = "x".join(str(one) for one in given)
            expected = f"1x{rows}x{marks}"
            problem = say("analysis.detector-shape", path=path, got=got, expected=expected, classes=len(classes))
            raise DetectorError(problem)

    def find(self, image: Image) -> tuple[Detection, ...]:
        """Find what there is in a picture. Raises DetectorError (an inference that fails)."""
        boxed, scale = letterbox(image, self.size)
        try:
            rows = self._forward(boxed)[0]
        except cv2.error as error:
            raise DetectorError(say("analysis.detector-fails", path="-", error=_brief(error))) from error
        height, width = image.shape[:2]
        found = decode(rows[:, : 5 + len(self._classes)], self._grid, self._stride)
        return tuple(
            Detection(box, self._classes[index], score)
            for (x, y, w, h), index, score in found
            if (box := _within(x / scale / width, y / scale / height, w / scale / width, h / scale / height))
        )

    def _forward(self, boxed: Image) -> NDArray[np.float32]:
        blob = cv2.dnn.blobFromImage(boxed)
        with self._lock:
            self._net.setInput(blob)
            return np.asarray(self._net.forward(), np.float32)


def letterbox(image: Image, size: tuple[int, int]) -> tuple[Image, float]:
    """Scale into the upper left corner of `size` (width, height), pad the rest; return the scale too."""
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, min(size[0], round(width * scale))), max(1, min(size[1], round(height * scale)))
    out = np.full((size[1], size[0], 3), PAD, np.uint8)
    out[: inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)
    return out, scale


def cells(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of each row of the output, and its stride."""
    places, strides = [], []
    for stride in STRIDES:
        ys, xs = np.mgrid[0 : size[1] // stride, 0 : size[0] // stride]
        places.append(np.stack([xs.ravel(), ys.ravel()], axis=1))
        strides.append(np.full((xs.size, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)


Found = tuple[tuple[float, float, float, float], int, float]


def decode(rows: NDArray[np.float32], grid: NDArray[np.float32], stride: NDArray[np.float32]) -> list[Found]:
    """Boxes (corner, width, height, in pixels of the input), classes and scores, without those that repeat others."""
    marks = rows[:, 5:] * rows[:, 4:5]
    best = np.argmax(marks, axis=1)
    scores = marks[np.arange(len(rows)), best]
    kept = np.isfinite(rows).all(axis=1) & (scores >= LEAST_SCORE)
    if not kept.any():
        return []
    rows, best, scores, grid, stride = rows[kept], best[kept], scores[kept], grid[kept], stride[kept]
    centres = (rows[:, :2] + grid) * stride
    sizes = np.exp(np.minimum(rows[:, 2:4], 10.0)) * stride
    boxes = np.concatenate([centres - sizes / 2, sizes], axis=1).astype(float)
    # Apart per class: a person on a bicycle is two things.
    picked = cv2.dnn.NMSBoxesBatched(
        boxes.tolist(), scores.astype(float).tolist(), best.astype(int).tolist(), LEAST_SCORE, NMS_IOU, 1.0, MOST
    )
    out: list[Found] = []
    for index in np.asarray(picked).ravel().tolist():
        x, y, w, h = boxes[index].tolist()
        out.append(((x, y, w, h), int(best[index]), float(scores[index])))
    return out


def _within(x: float, y: float, w: float, h: float) -> Box | None:
    """The part of a box that lies in the picture."""
    left, top = max(0.0, x), max(0.0, y)
    right, low = min(1.0, x + w), min(1.0, y + h)
    return Box(left, top, right - left, low - top) if right > left and low > top else None


def _read(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > FILE_MAX_BYTES:
            raise DetectorError(say("analysis.detector-large", path=path, got=size >> 20, limit=FILE_MAX_BYTES >> 20))
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DetectorError(say("analysis.detector-missing", path=path, error=reason)) from error


def _size(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the input."""
    if len(shape) == 4 and shape[1] in (0, 3):
        height, width = (side or DEFAULT_SIDE for side in shape[2:])
        if all(STRIDES[-1] <= side <= SIDE_MAX and side % STRIDES[-1] == 0 for side in (height, width)):
            return width, height
    got = "x".join(str(side or "?") for side in shape) or "-"
    raise DetectorError(say("analysis.detector-input", path=path, got=got, limit=SIDE_MAX))


def _brief(error: Exception) -> str:
    """OpenCV's reason without its file and line."""
    return " ".join(str(error).rpartition("error: ")[2].split())[:200] or type(error).__name__
