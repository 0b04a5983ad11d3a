from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from triton_models.ocr.cropping import crop
from triton_models.ocr.detection import (
    STRIDE,
    DetectionOptions,
    Detector,
    clockwise,
    mean_inside,
    network_size,
    quads_of_map,
    resized,
    unclip,
)

OPTIONS = DetectionOptions()


def map_with(*boxes: tuple[int, int, int, int], value: float = 0.9) -> npt.NDArray[np.float32]:
    """A map of 200 x 300 with filled boxes x0, y0, x1, y1 (inclusive)."""
    probability = np.zeros((200, 300), dtype=np.float32)
    for x0, y0, x1, y1 in boxes:
        probability[y0 : y1 + 1, x0 : x1 + 1] = value
    return probability


def test_a_box_grows_on_all_sides_by_area_over_perimeter() -> None:
    (quad,) = quads_of_map(map_with((50, 40, 149, 59)), OPTIONS)
    # Dilation adds a pixel: 100 x 20 (between pixel centres), so about 1.6 * 2000 / 240 = 13.3 on each side.
    x0, y0 = quad.min(axis=0)
    x1, y1 = quad.max(axis=0)
    assert (x0, y0, x1, y1) == pytest.approx((50 - 13.3, 40 - 13.3, 150 + 13.3, 60 + 13.3), abs=1.5)


def test_each_line_has_its_quad() -> None:
    probability = map_with((20, 20, 120, 30), (20, 80, 120, 90), (160, 80, 260, 90))
    assert len(quads_of_map(probability, OPTIONS)) == 3


@pytest.mark.parametrize(
    "probability",
    [
        np.zeros((64, 64), dtype=np.float32),
        map_with((20, 20, 120, 30), value=0.29),
        map_with((20, 20, 120, 30), value=0.45),
        map_with((20, 20, 21, 21)),
    ],
    ids=["empty", "below the map's threshold", "below the box's threshold", "a speck"],
)
def test_what_is_no_line_gives_no_quad(probability: npt.NDArray[np.float32]) -> None:
    assert quads_of_map(probability, OPTIONS) == []


def test_a_slanted_line_gives_a_slanted_quad() -> None:
    probability = np.zeros((200, 300), dtype=np.float32)
    for x in range(50, 250):
        y = 50 + (x - 50) // 4
        probability[y : y + 12, x] = 0.9
    (quad,) = quads_of_map(probability, OPTIONS)
    direction = quad[1] - quad[0]
    assert direction[1] / direction[0] == pytest.approx(0.25, abs=0.05)


def test_corners_go_clockwise_from_the_top_left() -> None:
    corners = np.array([[10, 30], [90, 5], [95, 25], [5, 8]], dtype=np.float32)
    assert clockwise(corners).tolist() == [[5, 8], [90, 5], [95, 25], [10, 30]]


def test_the_mean_counts_the_inside_only() -> None:
    probability = map_with((10, 10, 29, 19), value=0.5)
    inside = np.array([[12, 12], [27, 12], [27, 17], [12, 17]], dtype=np.float32)
    assert mean_inside(probability, inside) == pytest.approx(0.5)
    wider = np.array([[10, 10], [49, 10], [49, 19], [10, 19]], dtype=np.float32)
    assert mean_inside(probability, wider) == pytest.approx(0.25, abs=0.01)


def test_a_point_cannot_be_expanded() -> None:
    assert unclip(np.full((4, 2), 7, dtype=np.float32), 1.6) is None


@pytest.mark.parametrize("size", [(20, 20), (100, 3000), (3508, 2480), (736, 736), (50_000, 40)])
def test_the_network_gets_sides_of_the_stride_within_bounds(size: tuple[int, int]) -> None:
    height, width = network_size(*size, OPTIONS)
    assert height % STRIDE == width % STRIDE == 0
    assert min(height, width) >= STRIDE
    assert max(height, width) <= OPTIONS.max_side_px


def test_quads_are_in_the_images_pixels_and_inside_it() -> None:
    def network(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        probability = np.zeros((1, 1, *batch.shape[2:]), dtype=np.float32)
        probability[:, :, : batch.shape[2] // 2] = 0.9
        return probability

    image = np.zeros((400, 3200, 3), dtype=np.uint8)
    (quad,) = Detector(network, OPTIONS).detect(image)
    assert quad.min() >= 0
    assert quad[:, 0].max() == 3199
    assert 200 < quad[:, 1].max() < 400


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (160, 192), (301, 1000), (40, 30)])
def test_images_are_resized_to_about_what_means_over_pixels_give(size: tuple[int, int]) -> None:
    """A picture of smooth waves: whatever the way, its pixels are those of the waves."""
    rows, columns = (np.linspace(0, 2 * np.pi, side, endpoint=False) + np.pi / side for side in size)
    wave = 127.5 + 100 * np.outer(np.sin(rows), np.cos(columns))
    image = np.repeat(wave.round().astype(np.uint8)[:, :, None], 3, axis=2)
    small = resized(image, 64, 64)
    places = np.linspace(0, 2 * np.pi, 64, endpoint=False) + np.pi / 64
    expected = 127.5 + 100 * np.outer(np.sin(places), np.cos(places))
    assert small.shape == (64, 64, 3)
    assert np.abs(small[:, :, 0] - expected).mean() < 2


def test_a_level_line_is_cut_out_as_it_is_and_a_slanting_one_laid_flat() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    level = np.array([[20.3, 30.2], [220.4, 30.4], [220.4, 50.3], [20.3, 50.1]], dtype=np.float32)
    np.testing.assert_array_equal(crop(image, level), image[30:50, 20:220])
    downward = np.array([[40, 10], [60, 10], [60, 90], [40, 90]], dtype=np.float32)
    np.testing.assert_array_equal(crop(image, downward), np.rot90(image[10:90, 40:60]))
    slanting = level + np.array([[0, 0], [0, 9], [0, 9], [0, 0]], dtype=np.float32)
    assert crop(image, slanting).shape[0] in (20, 21)
    edge = np.array([[250, 80], [299, 80], [299, 99], [250, 99]], dtype=np.float32)
    assert crop(image, edge).shape == (19, 49, 3)
