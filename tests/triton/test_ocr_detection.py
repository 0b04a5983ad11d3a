from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from triton_models.ocr.detection import (
    STRIDE,
    DetectionOptions,
    Detector,
    clockwise,
    mean_inside,
    network_size,
    quads_of_map,
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
