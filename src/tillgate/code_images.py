"""Payment codes as a customer's screen shows them: QR and Code 128, as SVG, as PNG, in a terminal.

Sizes are those of the symbol itself; its quiet zones come on top, so that a picture can be put on
any background. Sizes on a wallet's screen are the user-experience guide's of Alipay+. The libraries
that know the symbologies come with the extra `sandbox`.

A picture holds a whole payment code: treat it like the digits.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

MM_PER_INCH = 25.4

QR_SIZES_MM = (25.4, 30.5)
"""Alipay+'s user-experience guide: QR on a screen."""
CODE128_SIZES_MM = (45.0, 65.0)
"""The same: the barcode's width."""
CODE128_HEIGHT_MM = 14.0
"""The same: at least so high."""
SIZE_MM_MAX = 300.0
"""Ours: a poster is no screen."""
DPI = 300
DPIS = range(50, 2401)
"""Ours: from a very old screen to a plate setter."""
PIXELS_MAX = 4000
"""Ours, of each side: a picture of 16 million pixels is enough, and made in a second."""
CODE_LENGTH_MAX = 128
"""`paymentMethod.paymentMethodId` of pay holds so many characters."""

QR_QUIET = 4
"""Modules on all four sides: ISO/IEC 18004."""
CODE128_QUIET = 10
"""Modules on the left and on the right, none above and below: ISO/IEC 15417."""
QR_MODULE_MM_MIN = 0.254
CODE128_MODULE_MM_MIN = 2 * MM_PER_INCH / 300
"""The smallest modules that any symbol specification table of the GS1 General Specifications allows
for print (table 6: 0.0100 inch for two-dimensional symbols; 0.0067 inch for GS1-128, which is two
dots at 300 dpi). The ISO standards leave it to the user."""
MODULE_PIXELS_MIN = 2.7
WHOLE_MODULE_PIXELS_MIN = 2
"""Measured with 500 codes each: zbar and zxing read every code with 2 whole pixels per module, and
from 2.7 on with any number; between the two zxing missed up to 6 in 100."""

# Black and white of the 256 colours that no theme changes, so it reads on any background.
_BLACK_ON_WHITE = "\x1b[38;5;16;48;5;231m"
_AS_BEFORE = "\x1b[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


class Symbology(StrEnum):
    """What is drawn."""

    QR = "qr"
    CODE128 = "code128"


class CannotDraw(Exception):
    """This code cannot be drawn so.

    Attributes:
        field: the argument that is wrong.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotInstalled(Exception):
    """The library that draws it comes with an extra that is not installed; the message names it."""


def qr_svg(code: str, *, size_mm: float | None = None) -> bytes:
    """The code as QR.

    Args:
        code: printable ASCII.
        size_mm: of each side without quiet zone; None: 30.5, more where the code needs it.

    Raises:
        CannotDraw: it cannot be drawn, or not so small.
        NotInstalled: the extra is missing.
    """
    symbol = _qr(code)
    return _svg(symbol, symbol.size_mm(size_mm))


def qr_png(code: str, *, size_mm: float | None = None, dpi: int = DPI) -> bytes:
    """The same as PNG. With `size_mm` None each module has a whole number of pixels.

    An edge between pixels is grey, so that the size is exact. The file says its resolution.
    """
    symbol = _qr(code)
    return _png(symbol, symbol.size_mm(size_mm, dpi), dpi)


def code128_svg(
    code: str, *, size_mm: float | None = None, height_mm: float = CODE128_HEIGHT_MM
) -> bytes:
    """The code as Code 128, pairs of digits in code set C.

    Args:
        code: printable ASCII.
        size_mm: the width without quiet zones; None: 65, more where the code needs it.
        height_mm: of the bars; there is nothing above and below them.

    Raises:
        CannotDraw: it cannot be drawn, or not so small.
        NotInstalled: the extra is missing.
    """
    symbol = _code128(code, height_mm)
    return _svg(symbol, symbol.size_mm(size_mm))


def code128_png(
    code: str,
    *,
    size_mm: float | None = None,
    height_mm: float = CODE128_HEIGHT_MM,
    dpi: int = DPI,
) -> bytes:
    """The same as PNG; see `qr_png`."""
    symbol = _code128(code, height_mm)
    return _png(symbol, symbol.size_mm(size_mm, dpi), dpi)


def qr_terminal(code: str) -> str:
    """The code as QR in half blocks, with its quiet zone and in colours of its own: lines of text
    that read on a dark and on a light terminal.

    Raises:
        CannotDraw: it cannot be drawn.
        NotInstalled: the extra is missing.
    """
    modules = _qr(code).rows
    blank = (False,) * (len(modules[0]) + 2 * QR_QUIET)
    side = (False,) * QR_QUIET
    rows = [blank] * QR_QUIET + [side + row + side for row in modules] + [blank] * QR_QUIET
    if len(rows) % 2:
        rows.append(blank)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    lines = ("".join(_HALVES[both] for both in zip(*pair, strict=True)) for pair in pairs)
    return "\n".join(f"{_BLACK_ON_WHITE}{line}{_AS_BEFORE}" for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Symbol:
    """Dark modules and what must hold of their size. One row with a height: bars."""

    rows: tuple[tuple[bool, ...], ...]
    height_mm: float | None
    quiet: int
    sizes_mm: tuple[float, float]
    module_mm_min: float

    @property
    def columns(self) -> int:
        return len(self.rows[0])

    @property
    def quiet_above(self) -> int:
        return 0 if self.height_mm else self.quiet

    def size_mm(self, asked: float | None, dpi: int | None = None) -> float:
        """The size that was asked for, checked, or the best one."""
        if dpi is not None and dpi not in DPIS:
            raise CannotDraw("dpi", f"The resolution is {DPIS[0]} to {DPIS[-1]} dpi.")
        pixel_mm = MM_PER_INCH / dpi if dpi else 0.0
        if asked is None:
            return self._best_mm(pixel_mm)
        if not 0 < asked <= SIZE_MM_MAX:
            raise CannotDraw("size_mm", f"A size is more than 0 and at most {SIZE_MM_MAX:g} mm.")
        if not self._fits(asked, pixel_mm):
            least = self.columns * max(self.module_mm_min, MODULE_PIXELS_MIN * pixel_mm)
            at = f" at {dpi} dpi" if dpi else ""
            raise CannotDraw(
                "size_mm",
                f"{asked:g} mm is too small: this code has {self.columns} modules side by side"
                f" and needs at least {math.ceil(least * 10) / 10:g} mm{at}.",
            )
        return asked

    def _fits(self, size_mm: float, pixel_mm: float) -> bool:
        """Whether readers tell its modules apart."""
        module_mm = size_mm / self.columns
        if module_mm < self.module_mm_min - 1e-6:  # sizes are computed, too
            return False
        if not pixel_mm or module_mm >= MODULE_PIXELS_MIN * pixel_mm:
            return True
        pixels = module_mm / pixel_mm
        return pixels > WHOLE_MODULE_PIXELS_MIN - 0.001 and abs(pixels - round(pixels)) < 0.001

    def _best_mm(self, pixel_mm: float) -> float:
        """The largest for a wallet's screen, in whole pixels where that is still large enough; a
        larger one where the code needs it.
        """
        smallest, largest = self.sizes_mm
        if not pixel_mm:
            return max(largest, self.columns * self.module_mm_min)
        column_mm = self.columns * pixel_mm  # one pixel per module
        whole = math.floor(largest / column_mm + 1e-9) * column_mm
        if whole >= smallest and self._fits(whole, pixel_mm):
            return whole
        if self._fits(largest, pixel_mm):
            return largest
        pixels = max(WHOLE_MODULE_PIXELS_MIN, math.ceil(self.module_mm_min / pixel_mm - 1e-6))
        return max(pixels, math.ceil(largest / column_mm - 1e-9)) * column_mm


def _qr(code: str) -> _Symbol:
    _check_text(code)
    try:
        import segno
    except ImportError:
        raise _missing("QR codes", "segno") from None
    # Level M stands up to 15 % of damage; a higher one is taken where it costs no larger symbol.
    matrix = segno.make_qr(code, error="m", boost_error=True).matrix
    return _Symbol(
        rows=tuple(tuple(map(bool, row)) for row in matrix),
        height_mm=None,
        quiet=QR_QUIET,
        sizes_mm=QR_SIZES_MM,
        module_mm_min=QR_MODULE_MM_MIN,
    )


def _code128(code: str, height_mm: float) -> _Symbol:
    _check_text(code)
    if not 1 <= height_mm <= SIZE_MM_MAX:
        raise CannotDraw("height_mm", f"A height is 1 to {SIZE_MM_MAX:g} mm.")
    try:
        from barcode.codex import Code128
    except ImportError:
        raise _missing("Code 128", "python-barcode") from None
    encoder = Code128(code)
    if code[:2].isdigit():
        # python-barcode up to 0.16.1 takes a first pair 99 for the change to code set C, which has
        # the same value, and leaves it out (its issue 251). What begins with a pair begins in set
        # C anyway, so that there is nothing to save.
        encoder._try_to_optimize = lambda encoded: encoded
    (bars,) = encoder.build()
    return _Symbol(
        rows=(tuple(bar == "1" for bar in bars),),
        height_mm=height_mm,
        quiet=CODE128_QUIET,
        sizes_mm=CODE128_SIZES_MM,
        module_mm_min=CODE128_MODULE_MM_MIN,
    )


def _missing(what: str, library: str) -> NotInstalled:
    return NotInstalled(f"{what} are drawn by {library}: pip install 'tillgate[sandbox]'")


def _check_text(code: str) -> None:
    """Printable ASCII: what every reader gives back alike, and Code 128 has."""
    if not 0 < len(code) <= CODE_LENGTH_MAX:
        raise CannotDraw("code", f"A code has 1 to {CODE_LENGTH_MAX} characters.")
    for at, character in enumerate(code, 1):
        if not (character.isascii() and character.isprintable()):
            raise CannotDraw(
                "code",
                f"Character {at} cannot be drawn (U+{ord(character):04X}): a code is made of"
                " printable ASCII characters.",
            )


def _svg(symbol: _Symbol, size_mm: float) -> bytes:
    """One path in units of modules. The size in millimetres stands outside.

    Edges are left to be smoothed: `crispEdges` makes modules of 2 and 3 pixels from 2.3, which
    zbar did not always read. Within one path no seams show between the rows.
    """
    module_mm = size_mm / symbol.columns
    tall = symbol.height_mm / module_mm if symbol.height_mm else 1
    parts = []
    for i, row in enumerate(symbol.rows):
        x, y = symbol.quiet, symbol.quiet_above + i
        for is_dark, run in groupby(row):
            count = len(list(run))
            if is_dark:
                parts.append(f"M{x} {y}h{count}v{tall:.6g}h-{count}z")
            x += count
    wide = symbol.columns + 2 * symbol.quiet
    high = len(symbol.rows) * tall + 2 * symbol.quiet_above
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide * module_mm:.6g}mm"'
        f' height="{high * module_mm:.6g}mm" viewBox="0 0 {wide} {high:.6g}">\n'
        f'<path fill="#fff" d="M0 0h{wide}v{high:.6g}H0z"/>\n'
        f'<path d="{"".join(parts)}"/>\n'
        "</svg>\n"
    ).encode()


def _png(symbol: _Symbol, size_mm: float, dpi: int) -> bytes:
    """Eight bits of grey. The symbol begins on a whole pixel; an edge within one is mixed."""
    module = size_mm / symbol.columns * dpi / MM_PER_INCH
    quiet = math.ceil(symbol.quiet * module - 1e-6)
    quiet_above = math.ceil(symbol.quiet_above * module - 1e-6)
    wide = math.ceil(symbol.columns * module - 1e-6) + 2 * quiet
    if symbol.height_mm:
        high = math.ceil(symbol.height_mm * dpi / MM_PER_INCH - 1e-6)
    else:
        high = math.ceil(len(symbol.rows) * module - 1e-6) + 2 * quiet_above
    if max(wide, high) > PIXELS_MAX:
        raise CannotDraw(
            "dpi", f"{wide} x {high} pixels are too many: each side has at most {PIXELS_MAX}."
        )
    lines = [_mixed([float(dark) for dark in row], module, quiet, wide) for row in symbol.rows]
    rows = _stacked(lines, module, quiet, high) if len(lines) > 1 else [_grey(lines[0])] * high
    return _png_file(wide, high, rows, dpi)


def _mixed(modules: Sequence[float], module: float, start: int, count: int) -> list[float]:
    """How dark each of `count` pixels is: the share of it that dark modules cover."""
    pixels = [0.0] * count
    for i, dark in enumerate(modules):
        if not dark:
            continue
        left, right = start + i * module, start + (i + 1) * module
        for at in range(math.floor(left), min(math.ceil(right), count)):
            pixels[at] += min(right, at + 1) - max(left, at)
    return pixels


def _stacked(lines: list[list[float]], module: float, start: int, high: int) -> list[bytes]:
    """Rows of pixels from rows of modules; one that lies in two of them is their mixture."""
    rows = []
    known: dict[tuple[tuple[int, float], ...], bytes] = {}
    for y in range(high):
        shares = []
        for i in range(len(lines)):
            top, bottom = start + i * module, start + (i + 1) * module
            share = min(bottom, y + 1) - max(top, y)
            if share > 1e-9:
                shares.append((i, round(share, 6)))
        key = tuple(shares)
        if key not in known:
            mixed = [sum(lines[i][x] * share for i, share in shares) for x in range(len(lines[0]))]
            known[key] = _grey(mixed)
        rows.append(known[key])
    return rows


def _grey(line: Sequence[float]) -> bytes:
    return bytes(round(255 * (1 - min(dark, 1.0))) for dark in line)


def _png_file(wide: int, high: int, rows: list[bytes], dpi: int) -> bytes:
    """A PNG (ISO/IEC 15948): grey of 8 bits, its resolution in pixels per metre, one IDAT.

    Four chunks; an imaging library of 7 MB is not worth them.
    """
    per_metre = round(dpi * 1000 / MM_PER_INCH)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
