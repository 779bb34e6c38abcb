"""`tillgate code` as a tester meets it: digits, a QR in the terminal, pictures in files."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_cli import CODE, tillgate
from tests.test_code_images import opened, rendered, seen, zxing_reads
from tillgate.sandbox.embedded import Sandbox


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


def test_a_fresh_code_comes_first_and_its_qr_follows(sandbox):
    done = tillgate("code", "--qr", "--sandbox", sandbox.url)
    assert done.returncode == 0, done.stderr
    digits, _, drawing = done.stdout.partition("\n")
    assert len(digits) == 24
    assert zxing_reads(seen(drawing), "qr") == digits


def test_a_fresh_code_is_written_as_a_picture_and_still_printed(sandbox, tmp_path):
    file = tmp_path / "code.PNG"
    options = ("--symbology", "code128", "--size-mm", "45", "--image", str(file))
    done = tillgate("code", "--json", *options, "--sandbox", sandbox.url)
    assert done.returncode == 0, done.stderr
    assert zxing_reads(opened(file.read_bytes()), "code128") == json.loads(done.stdout)["code"]


def test_without_a_wish_for_a_picture_only_the_code_is_printed(sandbox):
    done = tillgate("code", "--sandbox", sandbox.url)
    assert done.stdout.strip().isdigit()
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("given", [CODE, "-"])
def test_a_given_code_is_drawn_without_a_sandbox_and_not_repeated(given):
    done = tillgate("code", "--draw", given, stdin=f"{CODE}\n")
    assert done.returncode == 0, done.stderr
    assert zxing_reads(seen(done.stdout), "qr") == CODE
    assert CODE not in done.stdout


@pytest.mark.parametrize("symbology", ["qr", "code128"])
@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_given_code_is_written_to_a_file_and_nothing_is_printed(tmp_path, symbology, ending):
    file = tmp_path / f"code.{ending}"
    dpi = ("--dpi", "600") if ending == "png" else ()
    done = tillgate("code", "--draw", CODE, "--image", str(file), "--symbology", symbology, *dpi)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    content = file.read_bytes()
    image = opened(content) if ending == "png" else rendered(content, 300)
    assert zxing_reads(image, symbology) == CODE
    if ending == "png":
        assert image.info["dpi"][0] == pytest.approx(600, abs=0.02)


def test_a_file_and_the_terminal_can_both_be_asked_for(tmp_path):
    file = tmp_path / "code.svg"
    done = tillgate("code", "--draw", CODE, "--image", str(file), "--qr")
    assert zxing_reads(seen(done.stdout), "qr") == CODE
    assert zxing_reads(rendered(file.read_bytes(), 300), "qr") == CODE


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--draw", "28１", "--qr"], "Character 3 cannot be drawn (U+FF11)"),
        (["--draw", ""], "1 to 128 characters"),
        (["--draw", CODE, "--wallet", "gcash"], "leave --wallet out"),
        (["--draw", CODE, "--json"], "--json prints JSON and nothing else"),
        (["--qr", "--json"], "--json prints JSON and nothing else"),
        (["--draw", CODE, "--dpi", "300"], "--dpi belongs to --image"),
        (["--qr", "--symbology", "code128"], "--symbology belongs to --image"),
        (["--draw", CODE, "--image", "code.gif"], "must end in .svg or .png"),
        (["--draw", CODE, "--image", "code.svg", "--dpi", "300"], "an SVG has no resolution"),
        (["--draw", CODE, "--image", "x.svg", "--size-mm", "2"], "--size-mm: 2 mm is too small"),
        (["--draw", CODE, "--image", "x.svg", "--size-mm", "nan"], "--size-mm: A size is more"),
        (["--draw", CODE, "--image", "x.png", "--dpi", "10"], "--dpi: The resolution is 50"),
        (["--draw", CODE, "--image", "/nowhere/x.png"], "--image: "),
    ],
)
def test_what_cannot_be_drawn_exits_2_and_names_the_option(tmp_path, arguments, says):
    done = tillgate("code", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert CODE not in done.stderr


def test_a_terminal_without_half_blocks_is_told_of_files():
    done = tillgate("code", "--draw", CODE, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "ascii has no half blocks; --image" in done.stderr


def test_without_the_libraries_the_extra_is_named(tmp_path):
    (tmp_path / "segno.py").write_text("raise ImportError")
    done = tillgate("code", "--draw", CODE, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "pip install 'tillgate[sandbox]'" in done.stderr
