"""What goes to paper: receipts and the scanner's sheet, as PDF.

Its words are English; names are written with the fonts that every reader of PDF has for Chinese,
Japanese and Korean. Thai and others have none (`is_legible`): use the page's own print there.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

LATIN, CODES = "Helvetica", "Courier"
ROLL = 80 * mm
"""The width of a receipt printer's paper."""
ASIAN = {"ja": "HeiseiKakuGo-W5", "ko": "HYGothic-Medium", "zh": "STSong-Light"}
"""PDF's own collections of characters (Adobe-Japan1, -Korea1, -GB1)."""


def receipt_pdf(title: str, subtitle: str, amount: str, rows: Sequence[tuple[str, str]]) -> bytes:
    """A receipt on a roll of 80 mm: who, how much, and the identifiers that a dispute needs."""
    height = (60 + 9 * sum(1 + len(_broken(value)) for _, value in rows)) * mm / 2 + 20 * mm
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(ROLL, height))
    canvas.setTitle("Receipt")
    y = height - 10 * mm
    for text, size in ((title, 12), (subtitle, 9), (amount, 18)):
        for line in _broken(text, 30 if size < 15 else 18):
            canvas.setFont(_font(line), size)
            canvas.drawCentredString(ROLL / 2, y, line)
            y -= (size + 4) * 0.9
    for name, value in rows:
        canvas.setFont(LATIN, 7)
        canvas.drawString(6 * mm, y, name)
        y -= 9
        for line in _broken(value):
            canvas.setFont(_font(line), 8)
            canvas.drawString(6 * mm, y, line)
            y -= 10
        y -= 2
    canvas.save()
    return file.getvalue()


def sheet_pdf(codes: Sequence[tuple[str, str, bytes]]) -> bytes:
    """The scanner's sheet on A4: digits, the kind of code, and its picture as PNG."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    canvas.setTitle("Scanner check")
    width, height = A4
    columns, row_height, top = 2, 50 * mm, height - 30 * mm
    rows = int((top - 10 * mm) // row_height)
    for number, (digits, kind, png) in enumerate(codes):
        place = number % (rows * columns)
        if place == 0:
            if number:
                canvas.showPage()
            canvas.setFont(LATIN, 14)
            canvas.drawString(15 * mm, height - 18 * mm, "Scanner check: test codes, no money")
        x = 15 * mm + (place % columns) * (width - 30 * mm) / columns
        y = top - (place // columns) * row_height
        image = ImageReader(io.BytesIO(png))
        wide, high = image.getSize()
        scale = min(80 * mm / wide, 34 * mm / high)
        canvas.drawImage(image, x, y - 34 * mm, wide * scale, high * scale)
        canvas.setFont(CODES, 9)
        canvas.drawString(x, y - 39 * mm, digits)
        canvas.setFont(LATIN, 8)
        canvas.drawString(x, y - 43 * mm, f"{number + 1}. {kind}, {len(digits)} digits")
    canvas.save()
    return file.getvalue()


def is_legible(text: str) -> bool:
    """Whether there is a font that has all its characters."""
    if _font(text) != LATIN:
        return True
    try:
        text.encode("cp1252")  # what PDF's own Latin fonts have
    except UnicodeEncodeError:
        return False
    return True


def _broken(text: str, length: int = 38) -> list[str]:
    lines = [text[start : start + length] for start in range(0, len(text), length)]
    return lines or [""]


def _font(text: str) -> str:
    """A font that has the characters, as far as there is one."""
    if text.isascii():
        return LATIN
    if any("\uac00" <= sign <= "\ud7a3" for sign in text):
        name = ASIAN["ko"]
    elif any("\u3040" <= sign <= "\u30ff" for sign in text):
        name = ASIAN["ja"]
    elif any("\u4e00" <= sign <= "\u9fff" for sign in text):
        name = ASIAN["zh"]
    else:
        return LATIN
    if name not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return name
