"""Pages that are read badly at first, with networks that see and read what they are told to."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.detection import DetectionOptions, Detector
from triton_models.ocr.document import PageDocument, PageLine
from triton_models.ocr.pipeline import PageReader, PageReaderOptions
from triton_models.ocr.recognition import RecognitionOptions, Recognizer, Steps
from triton_models.ocr.second_look import best_reading, is_faint, repaired, second_looks

BAR = (200, 300, 1000, 340)
"""The page's one line: x0, y0, x1, y1."""


def page(ink: int, ground: int = 255, side: int = 1400) -> Pixels:
    image = np.full((side, side, 3), ground, dtype=np.uint8)
    x0, y0, x1, y1 = BAR
    for x in range(x0, x1, 40):  # letters with gaps between them
        cv2.rectangle(image, (x, y0 + 5), (x + 25, y1 - 5), (ink, ink, ink), cv2.FILLED)
    return image


def line(text: str, confidence: float) -> PageLine:
    x0, y0, x1, y1 = BAR
    return PageLine(text, confidence, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32))


@dataclass(frozen=True)
class _Seen:
    """A detector that sees ink darker than `ink` of 255, and a recognizer that reads ten letters with a confidence for
    lines with faint ink, one for those with dark ink and one for pages larger than the first."""

    ink: int
    faint: float
    dark: float
    enlarged: float
    largest: list[int]

    def detect(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.largest.append(batch.shape[3])
        dark = ((batch[0].mean(axis=0) + 1) * 127.5 < self.ink).astype(np.uint8)
        joined = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((5, 61), np.uint8))
        return (joined * np.float32(0.9))[None, None].astype(np.float32)

    def read(self, batch: npt.NDArray[np.float32]) -> Steps:
        darkest = (np.percentile(batch[0], 3) + 1) * 127.5
        sure = self.dark if darkest < 60 else self.faint
        if self.largest[-1] > 1408:
            sure = self.enlarged
        classes = np.tile(np.array([1, 0] * 10, dtype=np.int32), (len(batch), 1))
        return Steps(classes, np.full(classes.shape, sure, np.float32), np.zeros(classes.shape, np.float32))


def read(image: Pixels, ink: int = 200, faint: float = 0.99, dark: float = 0.99, enlarged: float = 0.1) -> PageDocument:
    seen = _Seen(ink, faint, dark, enlarged, [])
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    recognizer = Recognizer(seen.read, ("a", " "), RecognitionOptions())
    (document,) = PageReader(Detector(seen.detect, DetectionOptions()), recognizer, PageReaderOptions()).read(
        [out.getvalue()]
    )
    assert isinstance(document, PageDocument)
    assert (document.width, document.height) == (image.shape[1], image.shape[0])
    return document


@pytest.mark.parametrize(("letter", "share"), [("a", 1.0), ("漢", 0.8)])
def test_rows_of_wide_characters_are_squeezed_and_keep_their_places(letter: str, share: float) -> None:
    widths: list[int] = []

    def network(batch: npt.NDArray[np.float32]) -> Steps:
        """One letter where the line's ink ends."""
        inked = np.flatnonzero(batch[0].min(axis=(0, 1)) < 0)
        widths.append(int(inked[-1]))
        classes = np.zeros((len(batch), batch.shape[3] // 8), dtype=np.int32)
        classes[:, inked[-1] // 8] = 1
        return Steps(classes, np.full(classes.shape, 0.99, np.float32), np.zeros(classes.shape, np.float32))

    seen = _Seen(200, 0.99, 0.99, 0.1, [])
    recognizer = Recognizer(network, (letter, " "), RecognitionOptions())
    out = io.BytesIO()
    Image.fromarray(page(0)).save(out, "PNG")
    (document,) = PageReader(Detector(seen.detect, DetectionOptions()), recognizer, PageReaderOptions()).read(
        [out.getvalue()]
    )
    assert isinstance(document, PageDocument)
    (found,) = document.lines
    length = 48 * (BAR[2] - BAR[0]) / np.linalg.norm(found.quad[3] - found.quad[0])
    assert widths[-1] == pytest.approx(share * length, rel=0.08)
    assert found.characters.quads[0, :, 0].mean() == pytest.approx(BAR[2] - 15, abs=25)


def test_a_page_that_is_read_well_is_read_once() -> None:
    assert second_looks(page(0), [line("certain", 0.99)]) == []
    assert [round(one.confidence, 2) for one in read(page(0), dark=0.98).lines] == [0.98]


def test_faint_text_that_was_overlooked_is_found_with_its_contrast_repaired() -> None:
    """Ink of 230 on 245: the detector sees none of it."""
    faint = page(230, 245)
    assert [round(one.confidence, 2) for one in read(faint, ink=200).lines] == [0.99]
    (found,) = read(faint, ink=200).lines
    x0, y0, x1, y1 = BAR
    assert found.quad.min(axis=0) == pytest.approx((x0, y0), abs=25)
    assert found.quad.max(axis=0) == pytest.approx((x1, y1), abs=25)


def test_faint_lines_are_read_again_although_the_network_is_sure_of_them() -> None:
    assert is_faint(page(230, 245), [line("overlooked", 0.99)])
    assert not is_faint(page(40), [line("seen", 0.99)])
    (look,) = second_looks(page(230, 245), [line("overlooked", 0.99)])
    assert look.scale == 1.0


@pytest.mark.parametrize(
    ("enlarged", "confidence"), [(0.9, 0.9), (0.6, 0.7)], ids=["the larger one is better", "the first is better"]
)
def test_of_the_readings_of_an_unsure_page_the_better_one_wins_in_its_own_pixels(
    enlarged: float, confidence: float
) -> None:
    (found,) = read(page(0), dark=0.7, enlarged=enlarged).lines
    assert found.confidence == pytest.approx(confidence, abs=0.01)
    x0, y0, x1, y1 = BAR
    assert found.quad.min(axis=0) == pytest.approx((x0, y0), abs=25)
    assert found.quad.max(axis=0) == pytest.approx((x1, y1), abs=25)
    assert found.characters.quads[..., 0].max() <= x1 + 25


def test_a_blank_page_is_not_looked_at_twice_and_noise_is_no_text() -> None:
    assert second_looks(np.full((500, 500, 3), 240, dtype=np.uint8), []) == []
    noise = [line("illusory", 0.7)]
    assert best_reading([[], noise]) == 0
    assert best_reading([[], [line("real", 0.95)]]) == 1


def test_more_characters_win_if_they_are_likelier_right_than_wrong() -> None:
    assert best_reading([[line("abc", 0.9)], [line("abcdef", 0.9)]]) == 1
    assert best_reading([[line("abc", 0.99)], [line("abcdefgh", 0.6)]]) == 0
    assert best_reading([[line("same", 0.9)], [line("same", 0.9)]]) == 0


def test_repairing_makes_ink_dark_and_the_ground_white_whatever_the_light() -> None:
    dim = page(150, 250).astype(np.float32) * np.linspace(0.4, 1, 1400, dtype=np.float32)[None, :, None]
    sound = repaired(dim.astype(np.uint8))[:, :, 0]
    x0, y0, x1, y1 = BAR
    assert np.median(sound) > 240
    letters = sound[y0 + 8 : y1 - 8, x0:x1].min(axis=0)
    assert (letters < 60).mean() > 0.5
    assert sound[:, :100].min() > 200
    assert repaired(np.zeros((1, 1, 3), dtype=np.uint8)).shape == (1, 1, 3)
