"""`POST /sandbox/codes/image`: any payment code as a picture, for a screen or a sheet of paper.

The code stands in the body and never in an address, which would reach access logs.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.code_images import (
    CODE128_HEIGHT_MM,
    DPI,
    CannotDraw,
    NotInstalled,
    Symbology,
    code128_png,
    code128_svg,
    qr_png,
    qr_svg,
)
from tillgate.sandbox.control_words import BadField, NotBuiltIn, body_of, read_as

PATH = "/sandbox/codes/image"
MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
REQUEST_BYTES_MAX = 4096


class ImageRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is drawn, as what, and how large; sizes are in millimetres without the quiet zones."""

    code: str
    symbology: Symbology = Symbology.QR
    format: Literal["svg", "png"] = "svg"
    size_mm: float | None = None
    height_mm: float | None = None
    dpi: int | None = None


_REQUESTS = msgspec.json.Decoder(ImageRequest)


def routes() -> list[Route]:
    """What to mount."""
    return [Route(PATH, draw, methods=["POST"])]


async def draw(request: Request) -> Response:
    """The picture itself. Nothing about it is kept, and nobody on the way shall keep it."""
    asked = read_as(_REQUESTS, await body_of(request, REQUEST_BYTES_MAX))
    if asked.height_mm is not None and asked.symbology is Symbology.QR:
        raise BadField("A QR is as high as it is wide.", path="$.height_mm")
    if asked.dpi is not None and asked.format == "svg":
        raise BadField("An SVG has no resolution.", path="$.dpi")
    try:
        # A large PNG takes tenths of a second; the network goes on meanwhile.
        image = await run_in_threadpool(_drawn, asked)
    except CannotDraw as error:
        raise BadField(str(error), path=f"$.{error.field}") from None
    except NotInstalled as error:
        raise NotBuiltIn(str(error)) from None
    return Response(
        image, media_type=MEDIA_TYPES[asked.format], headers={"Cache-Control": "no-store"}
    )


def _drawn(asked: ImageRequest) -> bytes:
    dpi = DPI if asked.dpi is None else asked.dpi
    height_mm = CODE128_HEIGHT_MM if asked.height_mm is None else asked.height_mm
    match asked.symbology, asked.format:
        case Symbology.QR, "svg":
            return qr_svg(asked.code, size_mm=asked.size_mm)
        case Symbology.QR, "png":
            return qr_png(asked.code, size_mm=asked.size_mm, dpi=dpi)
        case Symbology.CODE128, "svg":
            return code128_svg(asked.code, size_mm=asked.size_mm, height_mm=height_mm)
        case _:
            return code128_png(asked.code, size_mm=asked.size_mm, height_mm=height_mm, dpi=dpi)
