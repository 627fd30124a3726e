"""Pillow images as files, and back; Pillow is imported when it is used."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from openenv.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["file_of_image", "image_of_file", "pixels_of_image"]


def file_of_image(image: Image.Image, form: str) -> bytes:
    """An image in a format that Pillow knows by the name ``form``.

    Raises:
        ConfigurationError: Pillow cannot write such an image in that format.
    """
    file = io.BytesIO()
    try:
        image.save(file, format=form)
    except (KeyError, OSError, ValueError) as error:
        raise ConfigurationError(f"Pillow cannot write a picture of mode {image.mode} as {form}: {error}") from error
    return file.getvalue()


def image_of_file(data: bytes) -> Image.Image:
    """The image of a file, read completely.

    Raises:
        MissingExtra: Pillow is not installed.
        ConfigurationError: Pillow cannot read it.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("reading this picture needs Pillow; install it with: pip install pillow") from error
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # by format and kind of damage
        raise ConfigurationError(f"Pillow cannot read this picture: {error}") from error
    return image


def pixels_of_image(image: Image.Image) -> NDArray[np.uint8]:
    """A uint8 array of its own: H x W where the image is grey, H x W x 4 where it can be transparent, else x 3."""
    import numpy

    if image.has_transparency_data:  # also where a file of another mode names a transparent colour
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return numpy.array(image, dtype=numpy.uint8)
