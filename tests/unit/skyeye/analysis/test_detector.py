"""The detector: real loading and inference by OpenCV, of a model that the test writes itself."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.skyeye.analysis.detector import DEFAULT_SIDE, PAD, Detector, DetectorError, cells, decode, letterbox
from agent.skyeye.analysis.onnxfile import BadOnnx, input_shape
from agent.skyeye.model import Image
from tests.unit.skyeye.analysis.onnx import bright_squares, identity, model, node

CLASSES = ("red", "blue")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(bright_squares())
    return path


def picture(*squares: tuple[int, int, int, tuple[int, int, int]], size: tuple[int, int] = (360, 640)) -> Image:
    """A dark picture with squares: x, y, side, colour."""
    image: Image = np.full((*size, 3), 20, np.uint8)
    for x, y, side, colour in squares:
        image[y : y + side, x : x + side] = colour
    return image


RED, BLUE = (195, 210, 255), (255, 210, 195)


def test_it_finds_squares_where_they_are_and_what_they_are(path: Path) -> None:
    found = Detector(path, CLASSES).find(picture((80, 40, 80, RED), (480, 200, 80, BLUE)))
    by_label = {one.label: one for one in found}
    assert set(by_label) == {"red", "blue"}
    for label, (x, y) in {"red": (120, 80), "blue": (520, 240)}.items():
        cx, cy = by_label[label].box.centre
        assert abs(cx * 640 - x) < 45, label
        assert abs(cy * 360 - y) < 45, label
        assert by_label[label].score > 0.35


def test_an_empty_picture_has_nothing(path: Path) -> None:
    assert Detector(path, CLASSES).find(picture()) == ()


def test_boxes_stay_in_the_picture(path: Path) -> None:
    found = Detector(path, CLASSES).find(picture((560, 280, 80, RED)))
    assert found
    for one in found:
        assert 0 <= one.box.x < one.box.x + one.box.w <= 1
        assert 0 <= one.box.y < one.box.y + one.box.h <= 1


def test_a_model_may_have_more_classes_than_are_named(path: Path) -> None:
    found = Detector(path, CLASSES[:1]).find(picture((80, 40, 80, RED)))
    assert {one.label for one in found} == {"red"}


def test_a_wide_input_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "wide.onnx"
    path.write_bytes(bright_squares((96, 160)))
    detector = Detector(path, CLASSES)
    assert detector.size == (160, 96)
    assert detector.find(picture((80, 40, 80, RED)))


@pytest.mark.parametrize(
    ("data", "key", "words"),
    [
        (None, "analysis.detector-missing", ["No such file"]),
        (b"", "analysis.detector-broken", ["no graph"]),
        (b"<html>404</html>", "analysis.detector-broken", []),
        (bright_squares()[:900], "analysis.detector-broken", ["cut off"]),
        (identity(), "analysis.detector-shape", ["1x84x7", "1x3x64x64"]),
        (bright_squares(classes=1), "analysis.detector-shape", ["1x336x7", "1x336x6"]),
        (
            model([node("Sigmoid", ["images"], "output")], [], (1, 3, 100, 100), (1, 3, 100, 100)),
            "analysis.detector-input",
            ["1x3x100x100"],
        ),
        (
            model([node("NoSuchOperator", ["images"], "output")], [], (1, 3, 64, 64), (1, 3, 64, 64)),
            None,
            ["NoSuchOperator"],
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, data: bytes | None, key: str | None, words: list[str]
) -> None:
    path = tmp_path / "model.onnx"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DetectorError) as caught:
        Detector(path, CLASSES)
    assert key is None or caught.value.text.key == key
    for language in ("zh-CN", "en"):
        text = caught.value.text.render(language)
        assert str(path) in text
        assert all(word in text for word in words), text


def test_the_letterbox_keeps_the_shape() -> None:
    boxed, scale = letterbox(picture(), (128, 128))
    assert boxed.shape == (128, 128, 3)
    assert scale == 0.2
    assert (boxed[:72] == 20).all()
    assert (boxed[72:] == PAD).all()


def test_cells_are_decoded_by_grid_and_stride() -> None:
    grid, stride = cells((64, 64))
    assert len(grid) == 64 + 16 + 4
    rows = np.zeros((84, 6), np.float32)
    rows[64 + 5] = [0.5, 0.25, np.log(2), 0, 0.9, 1.0]  # stride 16, column 1, row 1
    ((box, index, score),) = decode(rows, grid, stride)
    assert box == pytest.approx((24 - 16, 20 - 8, 32, 16))
    assert index == 0
    assert score == pytest.approx(0.9)


def test_of_boxes_over_each_other_the_best_stays_unless_it_is_something_else() -> None:
    grid, stride = cells((64, 64))
    rows = np.zeros((84, 7), np.float32)
    rows[9] = [0.5, 0.5, 1.4, 1.4, 0.9, 0.9, 0]
    rows[10] = [-0.5, 0.5, 1.4, 1.4, 0.9, 0.8, 0]
    rows[11] = [-1.5, 0.5, 1.4, 1.4, 0.9, 0, 0.8]
    assert [(index, round(score, 2)) for _, index, score in decode(rows, grid, stride)] == [(0, 0.81), (1, 0.72)]


def test_numbers_that_are_none_are_left_out() -> None:
    grid, stride = cells((64, 64))
    rows = np.full((84, 6), np.nan, np.float32)
    rows[3] = [0.5, 0.5, np.inf, 0, 1, 1]
    assert decode(rows, grid, stride) == []
    rows[4] = [0.5, 0.5, 1e9, 1e9, 1, 1]
    assert len(decode(rows, grid, stride)) == 1


def test_the_input_is_read_from_the_file() -> None:
    assert input_shape(bright_squares((96, 160))) == (1, 3, 96, 160)
    assert input_shape(model([], [], (1, 3, 0, 0), (1,))) == (1, 3, 0, 0)
    assert DEFAULT_SIDE % 32 == 0


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        input_shape(data)
    except BadOnnx:
        return


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_damaged_model_is_read_or_refused(at: int, byte: int) -> None:
    data = bytearray(bright_squares((32, 32)))
    data[at % len(data)] = byte
    try:
        input_shape(bytes(data))
    except BadOnnx:
        return
