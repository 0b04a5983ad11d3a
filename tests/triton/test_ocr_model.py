"""Text recognition through the adapter and a real Triton."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from server.adapters.triton_recognizer import TritonTextRecognizer
from server.application.model_ports import RecognizedImage
from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline, UnreadableDocument

PAGES = Path(__file__).parent / "pages"
SAMPLES = Path(__file__).parents[2] / "samples"
LEFT = ["The ferry leaves at seven", "from the northern quay and", "returns before the tide", "has turned at midnight."]
RIGHT = ["Tickets are sold on board", "until the bell has rung", "twice and the gangway", "has been taken away."]


def deadline() -> Deadline:
    return Deadline.after(120)


def drawn(*columns: list[str], size: tuple[int, int] = (1300, 500), turns: int = 0) -> bytes:
    """A white PNG with columns of black lines, turned a quarter to the left `turns` times."""
    image = Image.new("L", size, 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(40)
    for column, lines in enumerate(columns):
        for row, text in enumerate(lines):
            draw.text((60 + 640 * column, 60 + 90 * row), text, fill=0, font=font)
    out = io.BytesIO()
    image.rotate(90 * turns, expand=True).save(out, "PNG")
    return out.getvalue()


def letters(texts: list[str]) -> list[str]:
    return ["".join(text.split()) for text in texts]


async def read(recognizer: TritonTextRecognizer, image: bytes) -> RecognizedImage:
    (page,) = await recognizer.recognize([image], deadline())
    return page


async def test_columns_are_read_in_order_with_boxes_and_confidence(recognizer: TritonTextRecognizer) -> None:
    page = await read(recognizer, drawn(LEFT, RIGHT))
    assert (page.width, page.height) == (1300, 500)
    assert letters([line.text for line in page.lines]) == letters([*LEFT, *RIGHT])
    for line in page.lines:
        assert 0.8 < line.confidence <= 1
        assert 0 <= line.box.x0 < line.box.x1 <= 1300
        assert 0 <= line.box.y0 < line.box.y1 <= 500
    assert page.lines[0].box.x1 < 660 < page.lines[-1].box.x0


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_turned_page_reads_the_same_and_keeps_its_coordinates(
    recognizer: TritonTextRecognizer, turns: int
) -> None:
    page = await read(recognizer, drawn(LEFT, turns=turns))
    assert (page.width, page.height) == ((500, 1300) if turns % 2 else (1300, 500))
    assert letters([line.text for line in page.lines]) == letters(LEFT)
    first = page.lines[0].box
    # Where the first line, 60 px below the top edge and right of the left one, has gone.
    corner = {1: (first.x0, page.height - first.y1), 2: (page.width - first.x1, page.height - first.y1)}
    distances = corner.get(turns, (page.width - first.x1, first.y0))
    assert all(30 < distance < 80 for distance in distances)


async def test_a_japanese_notice_is_read(recognizer: TritonTextRecognizer) -> None:
    page = await read(recognizer, (SAMPLES / "okinami-terminal.jpg").read_bytes())
    text = "".join(line.text for line in page.lines)
    for words in ("榊原直樹", "75分", "700円"):
        assert words in text


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_downward_lines_are_read_with_their_punctuation(recognizer: TritonTextRecognizer, turns: int) -> None:
    """Drawn with IPA Mincho: the network alone skips every comma, bracket, long vowel mark and small kana."""
    out = io.BytesIO()
    Image.open(PAGES / "columns.png").convert("L").rotate(90 * turns, expand=True).save(out, "PNG")
    page = await read(recognizer, out.getvalue())
    text = unicodedata.normalize("NFKC", "".join(line.text for line in page.lines))
    for words in (
        "早い。漁に出た船が、",
        "「今日は大漁だ」と、",
        "笑った。市場（午前六時",
        "サーモン",
        "いっぱいに並ぶ。",
    ):
        assert unicodedata.normalize("NFKC", words) in text
    for line in page.lines:
        assert "".join(character.text for character in line.characters) == line.text
    boxes = [character.box for line in page.lines for character in line.characters]
    assert all(0 <= box.x0 < box.x1 <= page.width and 0 <= box.y0 < box.y1 <= page.height for box in boxes)


async def test_each_character_has_its_place_and_confidence(recognizer: TritonTextRecognizer) -> None:
    page = await read(recognizer, drawn(LEFT))
    for line in page.lines:
        assert "".join(character.text for character in line.characters) == line.text
        starts = [character.box.x0 for character in line.characters]
        assert starts == sorted(starts)
        assert line.box.x0 - 1 <= starts[0]
        assert line.characters[-1].box.x1 <= line.box.x1 + 1
        assert all(0 < character.confidence <= 1 for character in line.characters)
    # The font's letters are 20 px wide on average; the line begins 60 px from the edge.
    first = page.lines[0].characters[0].box
    assert (first.x0, first.x1) == pytest.approx((60, 85), abs=14)


async def test_an_empty_page_has_no_lines(recognizer: TritonTextRecognizer) -> None:
    assert (await read(recognizer, drawn())).lines == ()


async def test_results_come_in_the_order_of_the_images(recognizer: TritonTextRecognizer) -> None:
    words = ["first", "second", "third", "fourth", "fifth", "sixth"]
    pages = await recognizer.recognize([drawn([word], size=(400, 200)) for word in words], deadline())
    assert [page.lines[0].text for page in pages] == words
    assert await recognizer.recognize([], deadline()) == []


@pytest.mark.parametrize("broken", [b"", b"nothing", drawn(LEFT)[:900]], ids=["empty", "no image", "cut off"])
async def test_a_bad_image_fails_alone(recognizer: TritonTextRecognizer, broken: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        await recognizer.recognize([drawn(LEFT), broken], deadline())
    assert (await read(recognizer, drawn(LEFT))).lines


async def test_more_than_50_megapixels_are_refused(recognizer: TritonTextRecognizer) -> None:
    out = io.BytesIO()
    Image.new("1", (10_000, 5_001)).save(out, "PNG")
    with pytest.raises(UnreadableDocument, match="50000000"):
        await recognizer.recognize([out.getvalue()], deadline())


async def test_the_deadline_is_kept(recognizer: TritonTextRecognizer) -> None:
    with pytest.raises(StageDeadline):
        await recognizer.recognize([drawn(LEFT)], Deadline.after(-1))


async def test_the_fingerprint_names_the_model(recognizer: TritonTextRecognizer) -> None:
    assert recognizer.fingerprint.startswith("pp-ocr")
