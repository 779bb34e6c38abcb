"""A code held before the till's camera: Chromium is given a film of it instead of a camera."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser.conftest import program
from tests.browser.rig import TILL, accessible, until
from tests.browser.test_till import Till, payments
from tillgate.code_images import code128_png, qr_png

WIDTH, HEIGHT, FRAMES = 1280, 720, 3
BLACK_AND_WHITE = bytes([128]) * (WIDTH * HEIGHT // 4)


def film(picture: bytes) -> bytes:
    """Some frames of a still picture, as Y4M: grey, and no colour."""
    code = Image.open(io.BytesIO(picture)).convert("L")
    scale = min(WIDTH * 0.8 / code.width, HEIGHT * 0.8 / code.height)
    code = code.resize((int(code.width * scale), int(code.height * scale)))
    frame = Image.new("L", (WIDTH, HEIGHT), 200)
    frame.paste(code, ((WIDTH - code.width) // 2, (HEIGHT - code.height) // 2))
    one = b"FRAME\n" + frame.tobytes() + BLACK_AND_WHITE * 2
    return f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode() + one * FRAMES


@pytest.fixture
def filmed(chromium: Browser, watch, tmp_path) -> Iterator[Callable[..., Page]]:
    """A page whose camera sees this picture."""
    with ExitStack() as stack:

        def make(picture: bytes, *, may: bool = True) -> Page:
            path = tmp_path / "film.y4m"
            path.write_bytes(film(picture))
            browser = chromium.browser_type.launch(
                executable_path=program(),
                args=[
                    "--use-fake-device-for-media-stream",
                    f"--use-file-for-fake-video-capture={path}",
                    *(["--no-sandbox"] if os.geteuid() == 0 else []),
                ],
            )
            stack.callback(browser.close)
            size = {"width": TILL[0], "height": TILL[1]}
            context = browser.new_context(
                viewport=size, locale="en-GB", permissions=["camera"] if may else []
            )
            watch.over(context)
            return context.new_page()

        yield make


@pytest.mark.parametrize("draw", [qr_png, code128_png])
def test_a_code_before_the_camera_is_paid(run_gateway, town, filmed, draw):
    demo = run_gateway(is_demo=True)
    page = filmed(draw(town.code(wallet="kakaopay")))
    till = Till(page, demo.url).opens()
    till.types("100")
    page.keyboard.press("Enter")
    page.click("#camera")
    page.wait_for_selector("body[data-screen=paid]", timeout=20_000)
    assert len(payments(demo)) == 1
    assert page.evaluate("document.getElementById('camera-view').srcObject") is None


def test_a_camera_that_may_not_be_used_says_so_and_the_digits_still_do(run_gateway, town, filmed):
    demo = run_gateway(is_demo=True)
    page = filmed(qr_png("0"), may=False)
    till = Till(page, demo.url).opens()
    till.types("100")
    page.keyboard.press("Enter")
    page.click("#camera")
    until(page, lambda: "camera cannot be used" in page.inner_text("#kind"))
    accessible(page)
    page.fill("#digits", town.code(wallet="kakaopay"))
    page.keyboard.press("Enter")
    till.shows("paid")
