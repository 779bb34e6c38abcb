"""`tillgate code`: a customer's wallet on the command line. It shows a payment code as digits, as a
QR in the terminal, and as a picture in a file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tillgate.cli.till import NoAnswer, call, print_problem, read_code, setting_of
from tillgate.code_images import (
    DPI,
    CannotDraw,
    NotInstalled,
    Symbology,
    code128_png,
    code128_svg,
    qr_png,
    qr_svg,
    qr_terminal,
)
from tillgate.core.errors import ConfigError

_ASKED = ("wallet", "customer", "kind", "length", "play")
_OF_AN_IMAGE = {"symbology": "--symbology", "size_mm": "--size-mm", "dpi": "--dpi"}
_OPTIONS = {"code": "the code"} | _OF_AN_IMAGE


def code(arguments: argparse.Namespace) -> int:
    """Print a fresh payment code on the first line, so that it can be piped. Then draw it, or the
    one that was given.
    """
    _check(arguments)
    try:
        if arguments.draw is not None:
            _draw(arguments, read_code(arguments.draw))
            return 0
        answer = call(_sandbox_url(arguments), "POST", "/sandbox/codes", _asked(arguments))
        if answer.status >= 400:
            return print_problem(answer, arguments.json)
        print(json.dumps(answer.body) if arguments.json else answer.body["code"])
        _draw(arguments, answer.body["code"])
    except (NoAnswer, NotInstalled) as error:
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    except CannotDraw as error:
        raise ConfigError([f"{_OPTIONS[error.field]}: {error}"]) from None
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what contradicts itself, before a code is shown that nobody sees.

    Raises:
        ConfigError: names the options.
    """
    problems = []
    if arguments.draw is not None and (given := [f"--{one}" for one in _given(arguments, _ASKED)]):
        problems.append(f"--draw draws the code that it is given: leave {given[0]} out")
    if arguments.json and (arguments.qr or arguments.draw is not None):
        problems.append("--json prints JSON and nothing else: leave it, or --qr and --draw, out")
    if arguments.image is None:
        given = [_OF_AN_IMAGE[name] for name in _given(arguments, tuple(_OF_AN_IMAGE))]
        problems += [f"{option} belongs to --image" for option in given]
    elif Path(arguments.image).suffix.lower() not in (".svg", ".png"):
        problems.append(f"--image: {arguments.image} must end in .svg or .png")
    elif _is_svg(arguments) and arguments.dpi is not None:
        problems.append("--dpi: an SVG has no resolution")
    if problems:
        raise ConfigError(problems)


def _draw(arguments: argparse.Namespace, code: str) -> None:
    """To the file, and in the terminal where that was asked for or there is no file."""
    if arguments.image is not None:
        image = _image(arguments, code)
        try:
            Path(arguments.image).write_bytes(image)
        except OSError as error:
            raise ConfigError([f"--image: {error}"]) from None
    if arguments.qr or (arguments.draw is not None and arguments.image is None):
        drawing = qr_terminal(code)
        try:
            print(drawing)
        except UnicodeEncodeError:
            raise ConfigError(
                [f"--qr: {sys.stdout.encoding} has no half blocks; --image writes a file instead"]
            ) from None


def _image(arguments: argparse.Namespace, code: str) -> bytes:
    size_mm = arguments.size_mm
    is_bars = arguments.symbology == Symbology.CODE128
    if _is_svg(arguments):
        return (code128_svg if is_bars else qr_svg)(code, size_mm=size_mm)
    dpi = DPI if arguments.dpi is None else arguments.dpi
    return (code128_png if is_bars else qr_png)(code, size_mm=size_mm, dpi=dpi)


def _is_svg(arguments: argparse.Namespace) -> bool:
    return Path(arguments.image).suffix.lower() == ".svg"


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(arguments, name) is not None]


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in _given(arguments, _ASKED)}


def _sandbox_url(arguments: argparse.Namespace) -> str:
    said: str | None = arguments.sandbox
    return said or setting_of(arguments.till, "TILLGATE_TILL", "sandbox", "TILLGATE_SANDBOX_URL")
