"""Encoded bytes to pixels, within a bound."""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]
"""uint8[height, width, 3], C-contiguous, blue-green-red (what the networks were trained on)."""

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")


class UnreadableImage(Exception):
    """The bytes are no image that is read here. `str(error)` is one sentence without any of the content."""


def decode(encoded: bytes, limit_pixels: int) -> Pixels:
    """The (first) image in `encoded`, turned upright as its EXIF says, on white where it is transparent.

    The size is checked from the header, before any pixel is decoded. Raises UnreadableImage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
                width, height = image.size
                if width * height > limit_pixels:
                    raise UnreadableImage(f"the image has {width * height} pixels; at most {limit_pixels} are read")
                return _to_bgr(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise UnreadableImage(f"the bytes are no image in {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage(f"the image has far too many pixels; at most {limit_pixels} are read") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise UnreadableImage("the image is broken") from error


def _to_bgr(image: Image.Image) -> Pixels:
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        samples = np.asarray(image, dtype=np.float32)
        top = 65535.0 if samples.max(initial=0.0) > 255.0 else 255.0
        image = Image.fromarray((np.clip(samples, 0, top) * (255.0 / top)).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(ground, layer)
    if image.mode in ("1", "L"):
        return np.asarray(cv2.cvtColor(np.asarray(image.convert("L")), cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), dtype=np.uint8)
