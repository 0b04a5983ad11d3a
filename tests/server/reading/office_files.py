"""Office files, drawn for the tests, and the same with parts exchanged."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import docx
import openpyxl
import pptx
from PIL import Image
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Pt


def docx_file(write: Callable[[Any], None]) -> bytes:
    """`write` gets the document of python-docx."""
    document = docx.Document()
    write(document)
    return _saved(document)


def xlsx_file(write: Callable[[Any], None]) -> bytes:
    """`write` gets the workbook of openpyxl."""
    workbook = openpyxl.Workbook()
    write(workbook)
    return _saved(workbook)


def pptx_file(*slides: Callable[[Any], None]) -> bytes:
    """Slides of 720 x 540 points; each function gets an empty one that has a title's placeholder."""
    presentation = pptx.Presentation()
    for write in slides:
        write(presentation.slides.add_slide(presentation.slide_layouts[5]))
    return _saved(presentation)


def put_text(slide: Any, x: float, y: float, *paragraphs: str) -> None:
    """A text box of 200 x 50 points."""
    box = slide.shapes.add_textbox(Pt(x), Pt(y), Pt(200), Pt(50))
    box.text_frame.text = "\n".join(paragraphs)


def put_chart(slide: Any, title: str, values: Mapping[str, float]) -> None:
    data = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = list(values)
    data.add_series("Boats", list(values.values()))  # type: ignore[no-untyped-call]
    kind = XL_CHART_TYPE.COLUMN_CLUSTERED
    chart = slide.shapes.add_chart(kind, Pt(100), Pt(200), Pt(300), Pt(200), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = title


def picture() -> io.BytesIO:
    target = io.BytesIO()
    Image.new("L", (8, 8), 200).save(target, "PNG")
    target.seek(0)
    return target


def with_parts(archive: bytes, parts: Mapping[str, bytes | None]) -> bytes:
    """The archive with parts exchanged or added; None leaves one out. No part says when it was made."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in dict.fromkeys([*old.namelist(), *parts]):
            content = parts[name] if name in parts else old.read(name)
            if content is not None:
                new.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def part(archive: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(name)


def _saved(document: Any) -> bytes:
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()
