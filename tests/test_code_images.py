"""Code images are read back by two readers that share nothing with what draws them: zbar and zxing.

Sizes are those of Alipay+'s user-experience guide. Where zbar's library is missing its half is
skipped, but never in CI.
"""

from __future__ import annotations

import io
import math
import os
import re
import sys

import pytest
import resvg_py
import zxingcpp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from tillgate.code_images import (
    CODE128_MODULE_MM_MIN,
    CannotDraw,
    NotInstalled,
    code128_png,
    code128_svg,
    qr_png,
    qr_svg,
    qr_terminal,
)

CGCP = "281006020000000000000012"
DIGITS_32 = "28100602000000000000001234567890"
DIGITS_24 = (CGCP, "251001020123456789012345", "309999029876543210123456")
OTHER_WALLETS = "LW8m3QxZ0vT7-kR5yB2nP9cJ4hF6gD1s"


def zbar_reads(image: Image.Image, symbology: str) -> str | None:
    try:
        from pyzbar import pyzbar
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("zbar is missing: apt-get install libzbar0")
    kind = {"qr": pyzbar.ZBarSymbol.QRCODE, "code128": pyzbar.ZBarSymbol.CODE128}[symbology]
    found = pyzbar.decode(image, symbols=[kind])
    return found[0].data.decode() if found else None


def zxing_reads(image: Image.Image, symbology: str) -> str | None:
    formats = zxingcpp.BarcodeFormat
    kind = {"qr": formats.QRCode, "code128": formats.Code128}[symbology]
    found = zxingcpp.read_barcode(image, formats=kind)
    return found.text if found else None


READERS = pytest.mark.parametrize("reads", [zbar_reads, zxing_reads], ids=["zbar", "zxing"])


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def rendered(svg: bytes, dpi: int) -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=svg.decode(), dpi=dpi)
    return opened(bytes(png)).convert("L")


def blurred(radius: float):
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius))


def turned(degrees: float):
    return lambda image: image.rotate(
        degrees, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC
    )


SPOILT = pytest.mark.parametrize(
    "spoil",
    [
        lambda image: image,
        blurred(0.8),
        blurred(1.0),
        turned(3),
        turned(-5),
        lambda image: blurred(0.8)(turned(4)(image)),
    ],
    ids=["as it is", "blurred", "more blurred", "turned", "turned back", "turned and blurred"],
)

# The screen's sizes, once for the symbol alone and once with its quiet zones counted in, which is
# harder: 24 digits have 167 modules and 20 quiet ones, 32 have 211; a QR of digits 21 and 8.
BARS = [
    *((code, 45.0) for code in DIGITS_24),
    *((code, 45.0 * 167 / 187) for code in DIGITS_24),
    (DIGITS_32, 65.0),
    (DIGITS_32, 65.0 * 211 / 231),
]
SQUARES = [*((code, 25.4) for code in (*DIGITS_24, DIGITS_32)), (CGCP, 25.4 * 21 / 29)]


@READERS
@SPOILT
@pytest.mark.parametrize(("code", "size_mm"), BARS)
def test_bars_read_at_a_screens_sizes_and_300_dpi(code, size_mm, spoil, reads):
    image = opened(code128_png(code, size_mm=size_mm, dpi=300))
    assert reads(spoil(image), "code128") == code


@READERS
@SPOILT
@pytest.mark.parametrize(("code", "size_mm"), SQUARES)
def test_a_qr_reads_at_a_screens_size_and_150_dpi(code, size_mm, spoil, reads):
    image = opened(qr_png(code, size_mm=size_mm, dpi=150))
    assert reads(spoil(image), "qr") == code


@READERS
@SPOILT
@pytest.mark.parametrize(("code", "size_mm"), [(CGCP, 45.0), (DIGITS_32, 65.0)])
def test_bars_of_an_svg_read_when_rendered_at_300_dpi(code, size_mm, spoil, reads):
    image = rendered(code128_svg(code, size_mm=size_mm), 300)
    assert reads(spoil(image), "code128") == code


@READERS
@SPOILT
@pytest.mark.parametrize("code", [CGCP, DIGITS_32])
def test_a_qr_of_an_svg_reads_when_rendered_at_150_dpi(code, spoil, reads):
    image = rendered(qr_svg(code, size_mm=25.4), 150)
    assert reads(spoil(image), "qr") == code


# Every kind of payment code is 16 to 32 digits that begin with 25 to 30.
payment_codes = st.from_regex(r"(2[5-9]|30)[0-9]{14,30}", fullmatch=True)
texts = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=32
) | st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True)


@READERS
@settings(max_examples=60, deadline=None)
@given(
    # At 300 dpi 27 digits and more need up to 51 mm; an odd one costs a change of code set.
    st.tuples(payment_codes.filter(lambda code: len(code) <= 26), st.floats(45, 65))
    | st.tuples(payment_codes, st.floats(51, 65))
)
@example(("25" + "0" * 29, 51.0))
@example(("30" + "1" * 24, 45.0))
def test_bars_of_any_payment_code_read_at_any_size_of_a_screen(reads, shown):
    code, size_mm = shown
    assert reads(opened(code128_png(code, size_mm=size_mm)), "code128") == code
    assert reads(opened(code128_png(code)), "code128") == code


@READERS
@settings(max_examples=60, deadline=None)
@given(code=payment_codes, size_mm=st.floats(25.4, 30.5))
def test_a_qr_of_any_payment_code_reads_at_any_size_of_a_screen(reads, code, size_mm):
    assert reads(opened(qr_png(code, size_mm=size_mm, dpi=150)), "qr") == code
    assert reads(opened(qr_png(code)), "qr") == code


@READERS
@settings(max_examples=60, deadline=None)
@given(code=texts)
@example(code=OTHER_WALLETS)
@example(code="A1234B567")
@example(code="9912")
@example(code="99A")
@example(code="A9999")
@example(code="oFBx07095776gu5507Ko42l5z9524o")  # with 2.4 pixels per module zxing misses it
def test_any_text_of_another_wallet_reads_as_both(reads, code):
    assert reads(opened(code128_png(code)), "code128") == code
    assert reads(opened(qr_png(code)), "qr") == code
    assert reads(rendered(code128_svg(code), 600), "code128") == code
    assert reads(rendered(qr_svg(code), 150), "qr") == code


def box_of_dark(image: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is darker than the middle."""
    box = image.point(lambda value: 255 if value < 128 else 0).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize(("code", "modules"), [(CGCP, 167), (DIGITS_32, 211)])
def test_pairs_of_digits_take_one_character_of_code_set_c(code, modules):
    # Start, a pair each, the check character: 11 modules each; the stop pattern has 13.
    assert modules == (1 + len(code) // 2 + 1) * 11 + 13
    image = opened(code128_png(code, size_mm=modules * 25.4 / 300 * 3, dpi=300))
    left, _, right, _ = box_of_dark(image)
    assert right - left == 3 * modules


@pytest.mark.parametrize(("size_mm", "dpi"), [(45, 300), (50.3, 300), (65, 600), (65, 204)])
def test_bars_have_the_size_that_was_asked_for_and_their_quiet_zones(size_mm, dpi):
    image = opened(code128_png(CGCP, size_mm=size_mm, height_mm=20, dpi=dpi))
    left, top, right, bottom = box_of_dark(image)
    pixels = size_mm * dpi / 25.4
    assert right - left == pytest.approx(pixels, abs=1)
    assert min(left, image.width - right) >= 10 * pixels / 167 - 0.5
    assert max(left, image.width - right) <= 10 * pixels / 167 + 2
    assert (top, bottom) == (0, math.ceil(20 * dpi / 25.4))
    assert image.height == bottom


@pytest.mark.parametrize(("size_mm", "dpi"), [(25.4, 150), (27.7, 300), (30.5, 96)])
def test_a_qr_has_the_size_that_was_asked_for_and_its_quiet_zone(size_mm, dpi):
    image = opened(qr_png(CGCP, size_mm=size_mm, dpi=dpi))
    left, top, right, bottom = box_of_dark(image)
    pixels = size_mm * dpi / 25.4
    assert right - left == pytest.approx(pixels, abs=1)
    assert bottom - top == pytest.approx(pixels, abs=1)
    for blank in (left, top, image.width - right, image.height - bottom):
        assert 4 * pixels / 21 - 0.5 <= blank <= 4 * pixels / 21 + 2


@pytest.mark.parametrize("dpi", [96, 150, 300, 600])
@pytest.mark.parametrize("draw", [qr_png, code128_png])
def test_a_png_says_its_resolution(draw, dpi):
    image = opened(draw(CGCP, dpi=dpi))
    assert image.info["dpi"] == (pytest.approx(dpi, abs=0.02), pytest.approx(dpi, abs=0.02))
    assert image.mode == "L"


@pytest.mark.parametrize(
    ("draw", "sizes_mm"), [(qr_png, (25.4, 30.5)), (code128_png, (45, 65))], ids=["qr", "code128"]
)
@pytest.mark.parametrize("code", [CGCP, DIGITS_32, "2812345678901234"])
@pytest.mark.parametrize("dpi", [300, 600])
def test_a_png_left_to_itself_is_pure_black_and_white_in_a_screens_size(draw, sizes_mm, code, dpi):
    image = opened(draw(code, dpi=dpi))
    left, _, right, _ = box_of_dark(image)
    assert {value for _, value in image.getcolors()} == {0, 255}
    assert sizes_mm[0] <= (right - left) * 25.4 / dpi <= sizes_mm[1]


def test_a_code_that_is_too_long_for_a_screens_size_is_drawn_larger():
    modules = (1 + len(OTHER_WALLETS) + 1) * 11 + 13
    width_mm = svg_sizes(code128_svg(OTHER_WALLETS))[0]
    assert width_mm == pytest.approx((modules + 20) * CODE128_MODULE_MM_MIN, abs=0.01)
    left, _, right, _ = box_of_dark(opened(code128_png(OTHER_WALLETS)))
    assert right - left == 2 * modules  # pixels: 65.5 mm


@READERS
@pytest.mark.parametrize("code", [CGCP, DIGITS_32, OTHER_WALLETS])
@pytest.mark.parametrize("dpi", [50, 72, 96, 110, 150, 204, 1200])
def test_a_png_left_to_itself_reads_at_any_resolution(code, dpi, reads):
    assert reads(opened(qr_png(code, dpi=dpi)), "qr") == code
    assert reads(opened(code128_png(code, dpi=dpi)), "code128") == code


def svg_sizes(svg: bytes) -> tuple[float, float]:
    match = re.search(rb' width="([0-9.]+)mm" height="([0-9.]+)mm"', svg)
    assert match is not None
    return float(match[1]), float(match[2])


def test_an_svg_says_its_size_in_millimetres_with_the_quiet_zones():
    assert svg_sizes(qr_svg(CGCP, size_mm=25.4)) == (
        pytest.approx(25.4 * 29 / 21, abs=0.01),
        pytest.approx(25.4 * 29 / 21, abs=0.01),
    )
    assert svg_sizes(code128_svg(CGCP, size_mm=45)) == (
        pytest.approx(45 * 187 / 167, abs=0.01),
        pytest.approx(14, abs=0.01),
    )
    assert svg_sizes(qr_svg(CGCP))[0] == pytest.approx(30.5 * 29 / 21, abs=0.01)
    assert svg_sizes(code128_svg(CGCP, height_mm=25)) == (
        pytest.approx(65 * 187 / 167, abs=0.01),
        pytest.approx(25, abs=0.01),
    )


def test_a_picture_never_shows_the_digits_as_text():
    for draw in (qr_svg, code128_svg, qr_png, code128_png):
        assert CGCP.encode() not in draw(CGCP)


@pytest.mark.parametrize(
    ("draw", "field", "words"),
    [
        (lambda: qr_svg(""), "code", "1 to 128"),
        (lambda: code128_svg("1" * 129), "code", "1 to 128"),
        (lambda: code128_png("28１"), "code", "Character 3 .*FF11"),
        (lambda: qr_png("28 1\n"), "code", "Character 5 .*000A"),
        (lambda: qr_terminal("é"), "code", "Character 1 .*00E9"),
        (lambda: code128_svg(CGCP, size_mm=28), "size_mm", "167 modules .* 28.3 mm"),
        (lambda: code128_png(CGCP, size_mm=45, dpi=150), "size_mm", "76.4 mm at 150 dpi"),
        (lambda: qr_svg(CGCP, size_mm=5), "size_mm", "21 modules .* 5.4 mm"),
        (lambda: qr_svg(CGCP, size_mm=0), "size_mm", "300 mm"),
        (lambda: qr_svg(CGCP, size_mm=math.nan), "size_mm", "300 mm"),
        (lambda: qr_svg(CGCP, size_mm=301), "size_mm", "300 mm"),
        (lambda: code128_svg(CGCP, height_mm=0), "height_mm", "1 to 300 mm"),
        (lambda: code128_svg(CGCP, height_mm=math.inf), "height_mm", "1 to 300 mm"),
        (lambda: qr_png(CGCP, dpi=0), "dpi", "50 to 2400"),
        (lambda: qr_png(CGCP, dpi=10**9), "dpi", "50 to 2400"),
        (lambda: qr_png(CGCP, size_mm=300, dpi=2400), "dpi", "at most 4000"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_its_field(draw, field, words):
    with pytest.raises(CannotDraw, match=words) as refused:
        draw()
    assert refused.value.field == field


def test_the_smallest_size_named_by_a_refusal_is_drawn():
    with pytest.raises(CannotDraw) as refused:
        code128_png(DIGITS_32, size_mm=30)
    named = re.search(r"at least ([0-9.]+) mm", str(refused.value))
    assert named is not None
    image = opened(code128_png(DIGITS_32, size_mm=float(named[1])))
    assert zxing_reads(image, "code128") == DIGITS_32


@pytest.mark.parametrize(("library", "draw"), [("segno", qr_svg), ("barcode.codex", code128_svg)])
def test_without_its_library_the_extra_is_named(monkeypatch, library, draw):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(NotInstalled, match=r"pip install 'tillgate\[sandbox\]'"):
        draw(CGCP)


BEGIN, END = "\x1b[38;5;16;48;5;231m", "\x1b[0m"


def seen(drawing: str) -> Image.Image:
    """What a terminal shows, each half block 8 pixels wide and high."""
    lines = [line.removeprefix(BEGIN).removesuffix(END) for line in drawing.splitlines()]
    image = Image.new("L", (len(lines[0]), 2 * len(lines)), 255)
    for y, line in enumerate(lines):
        for x, block in enumerate(line):
            assert block in " ▀▄█"
            image.putpixel((x, 2 * y), 0 if block in "▀█" else 255)
            image.putpixel((x, 2 * y + 1), 0 if block in "▄█" else 255)
    return image.resize((8 * image.width, 8 * image.height), Image.Resampling.NEAREST)


@READERS
@pytest.mark.parametrize("code", [CGCP, DIGITS_32, OTHER_WALLETS])
def test_a_qr_in_a_terminal_reads(code, reads):
    assert reads(seen(qr_terminal(code)), "qr") == code


def test_a_qr_in_a_terminal_brings_its_colours_and_its_quiet_zone():
    drawing = qr_terminal(CGCP)
    for line in drawing.splitlines():
        # Black on white by number, whatever a theme makes of the sixteen named colours.
        assert line.startswith(BEGIN)
        assert line.endswith(END)
    image = seen(drawing)
    left, top, right, bottom = box_of_dark(image)
    assert (left, top) == (4 * 8, 4 * 8)
    assert image.width - right == 4 * 8
    assert image.height - bottom >= 4 * 8
