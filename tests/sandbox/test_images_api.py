"""Pictures over the control API, as a tester's program asks for them."""

from __future__ import annotations

import json
import logging
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.test_code_images import box_of_dark, opened, rendered, svg_sizes, zbar_reads, zxing_reads
from tillgate.sandbox.embedded import Sandbox

CODE = "281006020000000000000012"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


def drawn(sandbox, **asked):
    """Status, headers and content of an answer, whatever it is."""
    body = json.dumps(asked).encode()
    request = Request(sandbox.url + "/sandbox/codes/image", body)
    try:
        with urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


@pytest.mark.parametrize("reads", [zbar_reads, zxing_reads])
@pytest.mark.parametrize("kind", ["cgcp", "alipay_plus_19", "alipay_cn_hk", "reserved"])
@pytest.mark.parametrize("symbology", ["qr", "code128"])
def test_a_fresh_code_of_every_kind_reads_as_svg_and_as_png(sandbox, kind, symbology, reads):
    code = sandbox.ask("POST", "/sandbox/codes", {"kind": kind})["code"]
    for form, media_type in (("svg", "image/svg+xml"), ("png", "image/png")):
        status, headers, content = drawn(sandbox, code=code, symbology=symbology, format=form)
        assert (status, headers["Content-Type"]) == (200, media_type)
        image = rendered(content, 300) if form == "svg" else opened(content)
        assert reads(image, symbology) == code


def test_without_wishes_it_is_a_qr_as_svg_that_nobody_keeps(sandbox):
    status, headers, content = drawn(sandbox, code=CODE)
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert headers["Cache-Control"] == "no-store"
    assert zxing_reads(rendered(content, 150), "qr") == CODE


def test_sizes_and_resolution_are_those_that_were_asked_for(sandbox):
    asked = {"code": CODE, "symbology": "code128", "size_mm": 45, "height_mm": 20.5}
    _, _, svg = drawn(sandbox, **asked)
    assert svg_sizes(svg) == (pytest.approx(45 * 187 / 167, abs=0.01), pytest.approx(20.5))
    _, _, png = drawn(sandbox, **asked, format="png", dpi=600)
    image = opened(png)
    left, _, right, bottom = box_of_dark(image)
    assert right - left == pytest.approx(45 / 25.4 * 600, abs=1)
    assert bottom == pytest.approx(20.5 / 25.4 * 600, abs=1)
    assert image.info["dpi"][0] == pytest.approx(600, abs=0.02)
    _, _, qr = drawn(sandbox, code=CODE, format="png", dpi=150, size_mm=25.4)
    left, _, right, _ = box_of_dark(opened(qr))
    assert right - left == pytest.approx(150, abs=1)


@pytest.mark.parametrize(
    ("asked", "path", "words"),
    [
        ({}, "$.code", "required"),
        ({"code": ""}, "$.code", "1 to 128"),
        ({"code": "2" * 129}, "$.code", "1 to 128"),
        ({"code": "2\u0000"}, "$.code", "Character 2"),
        ({"code": 28}, "$.code", "str"),
        ({"code": CODE, "symbology": "ean13"}, "$.symbology", "ean13"),
        ({"code": CODE, "format": "gif"}, "$.format", "gif"),
        ({"code": CODE, "size_mm": 2}, "$.size_mm", "at least 5.4 mm"),
        ({"code": CODE, "size_mm": "45"}, "$.size_mm", "float"),
        ({"code": CODE, "size_mm": -1}, "$.size_mm", "300 mm"),
        ({"code": CODE, "height_mm": 14}, "$.height_mm", "as high as it is wide"),
        ({"code": CODE, "symbology": "code128", "height_mm": 0}, "$.height_mm", "1 to 300"),
        ({"code": CODE, "dpi": 300}, "$.dpi", "no resolution"),
        ({"code": CODE, "format": "png", "dpi": 1}, "$.dpi", "50 to 2400"),
        ({"code": CODE, "format": "png", "dpi": 2400, "size_mm": 300}, "$.dpi", "4000"),
        ({"code": CODE, "colour": "red"}, "$.colour", "colour"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_its_field(sandbox, asked, path, words):
    status, headers, content = drawn(sandbox, **asked)
    problem = json.loads(content)
    assert (status, headers["Content-Type"]) == (422, "application/problem+json")
    assert (problem["code"], problem["path"]) == ("invalid_field", path)
    assert words in problem["detail"]
    assert CODE not in content.decode()


def test_without_the_libraries_the_extra_is_named(sandbox, monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    status, _, content = drawn(sandbox, code=CODE)
    problem = json.loads(content)
    assert (status, problem["code"]) == (501, "not_installed")
    assert "pip install 'tillgate[sandbox]'" in problem["detail"]


def test_the_code_travels_in_no_address_and_reaches_no_log(sandbox, caplog):
    with caplog.at_level(logging.DEBUG):
        assert drawn(sandbox, code=CODE)[0] == 200
        assert drawn(sandbox, code=CODE, size_mm=1)[0] == 422
    assert CODE not in caplog.text


def test_the_description_names_the_picture_and_its_media_types(sandbox):
    document = sandbox.ask("GET", "/sandbox/openapi.json")
    described = document["paths"]["/sandbox/codes/image"]["post"]
    assert set(described["responses"]["2XX"]["content"]) == {"image/svg+xml", "image/png"}
    reference = described["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert set(schema["properties"]) == {
        "code", "symbology", "format", "size_mm", "height_mm", "dpi",
    }  # fmt: skip
    others = document["paths"]["/sandbox/codes"]["post"]["responses"]["2XX"]["content"]
    assert set(others) == {"application/json"}
