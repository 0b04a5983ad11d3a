"""Whole documents of every format that is read, drawn by this project: what is damaged later."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.server.reading.office_files import docx_file, picture, pptx_file, put_chart, put_text, with_parts, xlsx_file

_ENGLISH = "The harbour was built by the families of the coast. It has two basins and a dry dock."
_JAPANESE = "港の営業時間は午前九時から午後五時までです。料金は四百八十円です。"


@cache
def documents() -> Mapping[str, bytes]:
    """By a name that tells the format. Each is read without a complaint, and the same bytes in every run."""
    table = "<table><tr><td>a<td>b<tr><td rowspan=2>c<td>d<tr><td>e</table>"
    html = f"<!doctype html><title>T</title><h1>Head</h1><p>{_ENGLISH}<ul><li>x<li>y</ul>{table}<p>{_JAPANESE}"
    csv = "boat,price\nTug,1.5\n" + '"Ferry, old","4\n0"\n' * 4
    return MappingProxyType(
        {
            "pdf text": _pdf(pageCompression=0),
            "pdf packed": _pdf(pageCompression=1),
            "pdf locked": _pdf(encrypt=StandardEncryption("", ownerPassword="owner")),
            "png": _image("PNG"),
            "jpeg": _image("JPEG"),
            "webp": _image("WEBP"),
            "tiff": _image("TIFF", save_all=True, append_images=[_noise(30)], compression="tiff_lzw"),
            "docx": _undated(docx_file(_write_docx)),
            "pptx": _undated(pptx_file(_write_slide, lambda slide: put_text(slide, 10, 10, _JAPANESE))),
            "xlsx": _undated(xlsx_file(_write_xlsx)),
            "html": html.encode(),
            "html shift_jis": html.encode("cp932"),
            "markdown": f"# Head\n\n{_ENGLISH}\n\n> quoted\n\n1. a\n2. b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n".encode(),
            "csv": csv.encode(),
            "mail": _mail(),
            "text euc_jp": (_JAPANESE + "\n\n" + _JAPANESE).encode("euc_jp"),
            "text utf-16": (_ENGLISH + "\n" + _JAPANESE).encode("utf-16"),
        }
    )


def _pdf(**options: Any) -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(300, 300), invariant=1, **options)
    for page in range(2):
        canvas.setFont("Helvetica", 12)
        for line, text in enumerate((_ENGLISH[:40], _ENGLISH[40:], f"Page {page}")):
            canvas.drawString(20, 260 - 14 * line, text)
        canvas.grid([20, 80, 140], [60, 80, 100, 120])
        for cell in range(6):
            canvas.drawString(25 + 60 * (cell % 2), 65 + 20 * (cell // 2), f"c{cell}")
        canvas.drawImage(ImageReader(picture()), 200, 60, 40, 40)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def _noise(size: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 255, (size, size), np.uint8))


def _image(image_format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    _noise(40).save(target, image_format, **options)
    return target.getvalue()


def _write_docx(document: Any) -> None:
    document.add_heading("Head", 1)
    document.add_paragraph(_ENGLISH)
    document.add_paragraph("item", style="List Number")
    document.add_paragraph("item", style="List Bullet")
    table = document.add_table(3, 3)
    table.cell(0, 0).merge(table.cell(1, 0)).text = "down"
    table.cell(2, 1).merge(table.cell(2, 2)).text = "across"
    document.add_picture(picture())
    document.add_paragraph(_JAPANESE, style="Caption")


def _write_slide(slide: Any) -> None:
    slide.shapes.title.text = "Head"
    put_text(slide, 100, 200, _ENGLISH, _JAPANESE)
    put_chart(slide, "Boats", {"2024": 3, "2025": 4.5})
    table = slide.shapes.add_table(2, 2, 1_000_000, 1_000_000, 2_000_000, 500_000).table
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(0, 0).text = "across"
    slide.shapes.add_group_shape().shapes.add_textbox(0, 0, 100, 100).text_frame.text = "grouped"
    slide.shapes.add_picture(picture(), 0, 0)
    slide.notes_slide.notes_text_frame.text = "notes"


def _write_xlsx(workbook: Any) -> None:
    sheet = workbook.active
    for row in (["Tariff"], [], ["Boat", "Price", None], ["Tug", 1.5, True], ["Ferry", "=1+1", _JAPANESE]):
        sheet.append(row)
    sheet.merge_cells("A1:C1")
    sheet["B4"].number_format = "0.0%"
    workbook.create_sheet("空").append([1, 2])


def _mail() -> bytes:
    message = EmailMessage()
    for name, value in (("From", "a@b.c"), ("To", "港 <d@e.f>"), ("Message-ID", "<1@b.c>"), ("Subject", "潮見表")):
        message[name] = value
    message.set_content(_JAPANESE)
    message.add_alternative(f"<p>{_ENGLISH}</p>", subtype="html")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="潮.pdf")
    for number, part in enumerate(message.walk()):
        if part.is_multipart():
            part.set_boundary(f"boundary {number}")
    return bytes(message)


def _undated(archive: bytes) -> bytes:
    """Without the parts that say when they were made (the workbook behind a chart is one)."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        dated = [name for name in opened.namelist() if name == "docProps/core.xml" or "/embeddings/" in name]
    return with_parts(archive, dict.fromkeys(dated, b"<x/>"))
