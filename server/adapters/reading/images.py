"""Image files as pages for OCR. Every function blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from PIL import Image, ImageOps

from server.adapters.reading.archives import parsing
from server.adapters.reading.page_views import fitting_scale
from server.adapters.reading.pdf import encode_gray
from server.adapters.reading.probing import JPEG, PNG, TIFF, WEBP
from server.application.reading_ports import PageImage
from server.domain.errors import UnreadableDocument

_PIL_FORMATS = MappingProxyType({PNG: "PNG", JPEG: "JPEG", TIFF: "TIFF", WEBP: "WEBP"})
# This module has its own limit, which refuses; Pillow's own would warn first.
Image.MAX_IMAGE_PIXELS = None
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """`most_pixels` refuses decompression bombs before anything is decoded. Images above `ocr_pixels` are shrunk and
    those above `image_bytes` are encoded anew."""

    most_pixels: int = 120_000_000
    ocr_pixels: int = 25_000_000
    image_bytes: int = 8_000_000
    most_pages: int = 2000


class ImageFile:
    """Memory: one decoded page. Close it when done."""

    def __init__(self, path: Path, media_type: str, options: ImageOptions) -> None:
        """Raises UnreadableDocument."""
        self._path = path
        self._options = options
        with parsing("the image"):
            self._image = Image.open(path, formats=[_PIL_FORMATS[media_type]])
        try:
            self._check_size()
            with parsing("the image"):
                # Only TIFF has pages; the frames of the others are an animation.
                self.page_count = int(getattr(self._image, "n_frames", 1)) if media_type == TIFF else 1
            if self.page_count > options.most_pages:
                raise UnreadableDocument(f"the image has more than {options.most_pages:,} pages")
        except BaseException:
            self._image.close()
            raise

    def close(self) -> None:
        self._image.close()

    def read(self, number: int) -> PageImage:
        """Page `number` (from 1). Raises UnreadableDocument."""
        with parsing(f"page {number} of the image"):
            if self.page_count > 1:
                self._image.seek(number - 1)
            self._check_size()
            if self._usable_as_it_is():
                width, height = self._image.size
                self._image.copy().close()  # decodes it, so that a broken one is refused here
                return PageImage(number, width, height, self._path.read_bytes(), 1.0)
            return self._encoded(number)

    def picture(self, number: int, scale: float, most_pixels: int) -> tuple[Image.Image, float]:
        """The page, upright, and its scale in pixels a pixel. Raises UnreadableDocument."""
        with parsing(f"page {number} of the image"):
            if self.page_count > 1:
                self._image.seek(number - 1)
            self._check_size()
            upright = ImageOps.exif_transpose(_coloured(self._image))
            used = fitting_scale(upright.width, upright.height, scale, most_pixels)
            size = (max(round(upright.width * used), 1), max(round(upright.height * used), 1))
            return upright.resize(size, Image.Resampling.LANCZOS) if size != upright.size else upright, used

    def _check_size(self) -> None:
        width, height = self._image.size
        if width * height > self._options.most_pixels:
            raise UnreadableDocument(
                f"the image has {width} x {height} pixels; at most {self._options.most_pixels:,} are read"
            )

    def _usable_as_it_is(self) -> bool:
        width, height = self._image.size
        return (
            self._image.format in ("PNG", "JPEG")
            and self._image.mode in ("L", "RGB")
            and self._image.getexif().get(_EXIF_ORIENTATION, 1) == 1
            and width * height <= self._options.ocr_pixels
            and self._path.stat().st_size <= self._options.image_bytes
        )

    def _encoded(self, number: int) -> PageImage:
        upright = ImageOps.exif_transpose(_gray(self._image))
        width, height = upright.size
        scale = min(1.0, (self._options.ocr_pixels / (width * height)) ** 0.5)
        if scale < 1.0:
            upright = upright.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
        encoded = encode_gray(upright, self._options.image_bytes)
        return PageImage(number, width, height, encoded, upright.width / width)


def _gray(image: Image.Image) -> Image.Image:
    """In shades of gray; what is transparent becomes white, 16-bit samples become 8-bit."""
    return _converted(image, "L")


def _coloured(image: Image.Image) -> Image.Image:
    return _converted(image, "RGB")


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        return image.point(lambda value: value / 256).convert("L").convert(mode)
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        white.alpha_composite(rgba)
        made = white.convert(mode)
    else:
        made = image.convert(mode)
    made.info["exif"] = image.getexif().tobytes()
    return made
