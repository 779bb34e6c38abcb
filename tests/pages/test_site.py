"""Pages keep strangers out, and what a browser may keep for ever never changes under its name."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from jinja2 import UndefinedError
from starlette.applications import Starlette
from yarl import URL

from tests.support import serving
from tillgate.pages import Site
from tillgate.server import Address, listen


@pytest.fixture
def site():
    return Site(frame_ancestors=["http://127.0.0.1:1"])


def asked(site, path):
    async def ask():
        async with (
            serving(Starlette(routes=site.routes()), listen(Address("127.0.0.1", 0))) as url,
            aiohttp.ClientSession() as session,
            session.get(URL(url + path, encoded=True)) as answer,
        ):
            return answer.status, answer.headers, await answer.read()

    return asyncio.run(ask())


def test_a_static_file_is_kept_for_ever_under_the_name_of_its_version(site):
    status, headers, content = asked(site, site.static("base.css"))
    assert status == 200
    assert headers["content-type"].startswith("text/css")
    assert "immutable" in headers["cache-control"]
    status, headers, same = asked(site, "/static/000000000000/base.css")
    assert (status, headers["cache-control"], same) == (200, "no-store", content)


@pytest.mark.parametrize("name", ["none.css", "../__init__.py", "%2e%2e/__init__.py", ""])
def test_there_is_nothing_but_the_static_files(site, name):
    assert asked(site, f"/static/x/{name}")[0] == 404


def test_a_name_that_is_none_is_our_own_mistake(site):
    with pytest.raises(LookupError, match="none"):
        site.static("none.css")


def test_a_page_says_who_may_do_what(site):
    answer = site.page("base.html", frames=["http://127.0.0.1:2"])
    rules = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    assert rules["default-src"] == "'none'"
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert rules["frame-ancestors"] == "http://127.0.0.1:1"
    assert rules["frame-src"] == "http://127.0.0.1:2"
    assert answer.headers["cache-control"] == "no-store"
    unframed = Site().page("base.html").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in unframed
    assert "frame-src 'none'" in unframed


def test_text_is_never_markup_and_a_missing_value_never_silence(site):
    template = site._templates.from_string("<p title='{{ it }}'>{{ it }}</p>")
    assert "<script>" not in template.render(it="'><script>alert(1)</script>")
    with pytest.raises(UndefinedError):
        template.render()
