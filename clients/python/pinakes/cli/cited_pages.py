"""The pages that an answer cites, as pictures with the cited lines marked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pinakes.client import Client
from pinakes.errors import DocumentNotFound, NoPageImage
from pinakes.results import Box, Citation

_UNFIT = re.compile(r"[^\w.-]+")


def save_cited_pages(client: Client, citations: Iterable[Citation], folder: Path) -> list[Path]:
    """Writes a JPEG of each cited page into `folder`, which is made if it is missing, in the order of the citations.

    Left out are pages of documents that have none (Markdown, mails) or were deleted meanwhile. Raises OSError and the
    other errors of `client.documents.page_image`.
    """
    boxes: dict[tuple[str, str, int], list[Box]] = {}
    for citation in citations:
        for region in citation.regions:
            page = boxes.setdefault((citation.document_id, citation.document_name, region.page), [])
            page += [box for box in region.boxes if box not in page]
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Path, None] = {}
    for (document_id, name, number), marked in boxes.items():
        try:
            image = client.documents.page_image(document_id, number, boxes=marked)
        except (DocumentNotFound, NoPageImage):
            continue
        path = folder / f"{_UNFIT.sub('-', name)}-page-{number}.jpg"
        if path in written:  # documents of one name
            path = path.with_stem(f"{path.stem}-{document_id}")
        path.write_bytes(image.image)
        written[path] = None
    return list(written)
