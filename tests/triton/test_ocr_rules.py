"""Rules of tables in page images, and lines of text that run over them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_models.ocr.cropping import size_of
from triton_models.ocr.decoding import Pixels
from triton_models.ocr.detection import Quad
from triton_models.ocr.rules import Segments, find_rules, no_rules, parted_at_rules

WIDTH, HEIGHT = 1000, 600
XS, YS = (80, 400, 580, 920), (100, 160, 220, 280, 400)
"""Of the grid, in pixels of a part of a page at 150 dpi."""
CENTRE = np.array([WIDTH / 2, HEIGHT / 2], dtype=np.float32)


def box(x0: float, y0: float, x1: float, y1: float) -> Quad:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)


WORDS = [box(XS[0] + 12, top + 18, XS[0] + 260, top + 44) for top in (*YS[:4], 440, 480)]


def page(*, angle: float = 0.0, thick: int = 2, scale: float = 1.0) -> Pixels:
    """The grid with a word in each row's first cell and two below it, turned clockwise."""
    image = np.full((HEIGHT, WIDTH), 250, dtype=np.uint8)
    for word in WORDS:
        for x in range(int(word[0, 0]), int(word[1, 0]), 13):  # letters
            cv2.rectangle(image, (x, int(word[0, 1]) + 4), (x + 8, int(word[2, 1]) - 4), 20, 2)
    for x in XS:
        image[YS[0] : YS[-1], x : x + thick] = 40
    for y in YS:
        image[y : y + thick, XS[0] : XS[-1] + thick] = 40
    turn = cv2.getRotationMatrix2D(CENTRE.tolist(), -math.degrees(angle), 1.0)
    turned = cv2.warpAffine(image, turn, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderValue=250)
    sized = cv2.resize(turned, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(sized, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def levelled(rules: Segments, angle: float) -> Segments:
    """Turned back: float32[n, 4], the boxes around the rules."""
    cos, sin = math.cos(angle), math.sin(angle)
    level = (rules - CENTRE) @ np.array([[cos, -sin], [sin, cos]], dtype=np.float32) + CENTRE
    return np.concatenate([level.min(axis=1), level.max(axis=1)], axis=1)


def assert_is_the_grid(rules: Segments, angle: float) -> None:
    boxes = levelled(rules, angle)
    flat = boxes[:, 2] - boxes[:, 0] > boxes[:, 3] - boxes[:, 1]
    ys = np.sort(boxes[flat][:, [1, 3]].mean(axis=1))
    xs = np.sort(boxes[~flat][:, [0, 2]].mean(axis=1))
    assert ys == pytest.approx(np.array(YS) + 0.5, abs=2.5)
    assert xs == pytest.approx(np.array(XS) + 0.5, abs=2.5)
    assert boxes[flat][:, [0, 2]] == pytest.approx(np.tile([XS[0], XS[-1]], (len(YS), 1)), abs=8)
    assert boxes[~flat][:, [1, 3]] == pytest.approx(np.tile([YS[0], YS[-1]], (len(XS), 1)), abs=8)


@given(
    angle=st.floats(-0.03, 0.03),
    off=st.floats(-0.004, 0.004),
    thick=st.integers(2, 5),
    noise=st.integers(0, 14),
    seed=st.integers(0, 9),
)
@settings(max_examples=15, deadline=None)
def test_a_grid_is_found_however_it_was_scanned(angle: float, off: float, thick: int, noise: int, seed: int) -> None:
    """Askew, with an angle that is known roughly, and with a scanner's noise and specks; nothing else is found."""
    image = page(angle=angle, thick=thick).astype(np.int16)
    rng = np.random.default_rng(seed)
    image += rng.normal(0, noise, image.shape[:2]).astype(np.int16)[..., None]
    specks = rng.random(image.shape[:2])
    image[specks < 0.001] = 0
    image[specks > 0.999] = 255
    assert_is_the_grid(find_rules(np.clip(image, 0, 255).astype(np.uint8), WORDS, angle + off), angle)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_rules_are_in_pixels_of_the_page(scale: float) -> None:
    rules = find_rules(page(scale=scale), [word * np.float32(scale) for word in WORDS], 0.0)
    assert_is_the_grid(rules / np.float32(scale), 0.0)


def test_the_longest_rules_come_first() -> None:
    lengths = np.linalg.norm(np.diff(find_rules(page(), WORDS, 0.0), axis=1)[:, 0], axis=1)
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)


def test_letters_pictures_and_the_lid_are_no_rules() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 250, dtype=np.uint8)
    image[:, :3] = image[:3] = 0  # the scanner's lid
    for x in range(200, 900, 20):
        cv2.rectangle(image, (x, 60), (x + 14, 86), (20, 20, 20), 3)
    picture = np.random.default_rng(1).integers(0, 255, (60, 80), dtype=np.uint8)
    image[150:550, 300:900] = cv2.resize(picture, (600, 400), interpolation=cv2.INTER_CUBIC)[..., None]
    rules = find_rules(image, [box(200, 56, 900, 90)], 0.0)
    frame = (abs(rules[..., 0] - 300) < 5) | (abs(rules[..., 0] - 900) < 5) | (abs(rules[..., 1] - 150) < 5)
    assert frame.all()  # where the picture ends
    assert len(find_rules(image, [], 0.0)) == 0


def test_a_bar_has_rules_where_it_ends() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 250, dtype=np.uint8)
    image[400:436, 200:900] = 60
    rules = find_rules(image, [box(210, 404, 500, 432)], 0.0)
    assert np.sort(rules[..., 1].mean(axis=1)) == pytest.approx([400, 435], abs=2)


def rule(x0: float, y0: float, x1: float, y1: float) -> Segments:
    return np.array([[[x0, y0], [x1, y1]]], dtype=np.float32)


def test_a_line_over_rules_is_cut_at_each_of_them() -> None:
    rules = np.concatenate([rule(600, 0, 596, 500), rule(300, 0, 300, 500), rule(0, 120, 1000, 120)])
    parts = parted_at_rules([box(100, 90, 900, 130)], rules)
    xs = np.array([[100, 297, 297, 100], [303, 596, 596, 303], [602, 900, 900, 602]])
    assert np.stack(parts)[..., 0] == pytest.approx(xs, abs=1.5)
    assert all(part[:, 1].tolist() == [90, 90, 130, 130] for part in parts)


def test_a_downward_line_is_cut_at_the_rules_across_it() -> None:
    upper, lower = parted_at_rules(
        [box(100, 50, 140, 850)], np.concatenate([rule(0, 400, 900, 400), rule(120, 0, 120, 900)])
    )
    assert (upper[2, 1], lower[0, 1]) == pytest.approx((397, 403), abs=1)


def test_what_is_left_beside_a_line_is_no_line() -> None:
    """Detection takes the rule at a cell's edge for text."""
    (part,) = parted_at_rules([box(100, 90, 400, 130)], rule(105, 0, 105, 500))
    assert part[0, 0] == pytest.approx(108, abs=1)


@pytest.mark.parametrize(
    "beside", [rule(300, 0, 300, 80), rule(300, 115, 300, 500), rule(50, 0, 50, 500), rule(0, 110, 900, 110)]
)
def test_rules_that_do_not_cross_a_line_leave_it_whole(beside: Segments) -> None:
    assert len(parted_at_rules([box(100, 90, 900, 130)], beside)) == 1
    assert len(parted_at_rules([box(100, 90, 900, 130)], no_rules())) == 1


def test_parts_of_a_slanted_line_keep_its_slant() -> None:
    slanted = np.array([[100, 90], [900, 110], [899, 150], [99, 130]], dtype=np.float32)
    parts = parted_at_rules([slanted], rule(500, 0, 490, 500))
    assert [size_of(part)[1] for part in parts] == pytest.approx([40, 40], abs=0.1)
    assert all(part[1, 1] - part[0, 1] == pytest.approx(10, abs=0.5) for part in parts)
