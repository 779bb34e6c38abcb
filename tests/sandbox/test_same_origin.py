"""No page but the sandbox's own changes anything, and none gets in by a name that was pointed here.
Whoever is no browser notices nothing.
"""

from __future__ import annotations

import asyncio

import pytest

from tillgate.sandbox.same_origin import ForeignHost, ForeignPage, refusal

from .side import running

HERE = "127.0.0.1:9090"


def asked(method="POST", server="127.0.0.1", **headers):
    """What is said to a request with these headers, `sec_fetch_site` for `Sec-Fetch-Site`."""
    raw = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in ({"host": HERE} | headers).items()
        if value is not None
    ]
    scope = {"type": "http", "method": method, "headers": raw, "server": (server, 9090)}
    error = refusal(scope)
    return type(error) if error else None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_caller_that_is_no_browser_is_heard(method):
    assert asked(method) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://localhost:9090"},
        {"origin": "http://127.0.0.1:9090.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "", "origin": f"http://{HERE}"},
    ],
    ids=str,
)
def test_another_origin_changes_nothing(method, headers):
    assert asked(method, **headers) is ForeignPage


@pytest.mark.parametrize("origin", [f"http://{HERE}", f"https://{HERE}"])
@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_our_own_page_is_heard(origin, site):
    assert asked(origin=origin, sec_fetch_site=site) is None


def test_a_link_from_anywhere_may_look():
    assert asked("GET", sec_fetch_site="cross-site") is None
    assert asked("HEAD", origin="https://evil.example") is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9090", "127.0.0.1.evil.example", "[", "", "localhost.x"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_on_loopback_no_name_of_the_net_is_answered(method, host):
    assert asked(method, host=host) is ForeignHost
    assert asked(method, "::1", host=host) is ForeignHost
    assert asked(method, "::ffff:127.0.0.1", host=host) is ForeignHost


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.:80", "a.localhost", "127.0.0.9", "[::1]:9090", "192.0.2.7"]
)
def test_localhost_and_addresses_are_answered(host):
    assert asked(host=host) is None


def test_on_another_address_any_name_may_be_its_own():
    assert asked(server="10.0.0.7", host="sandbox.test:9090") is None
    assert (
        asked(server="10.0.0.7", host="sandbox.test", origin="https://evil.example") is ForeignPage
    )


def test_a_stranger_with_a_long_body_is_answered_not_cut_off(keys):
    async def work():
        async with running(keys) as rig:
            sent = {"data": b" " * 2**20, "headers": {"Origin": "https://evil.example"}}
            async with rig.session.post(rig.url + "/sandbox/rules", **sent) as answer:
                return answer.status

    assert asyncio.run(work()) == 403


CHANGES = [
    ("POST", "/sandbox/codes"),
    ("POST", "/sandbox/codes/image"),
    ("PATCH", "/sandbox/customers/kakaopay_minji"),
    ("POST", "/sandbox/payments/none/confirm"),
    ("POST", "/sandbox/payments/none/decline"),
    ("POST", "/sandbox/rules"),
    ("DELETE", "/sandbox/rules"),
    ("DELETE", "/sandbox/rules/rule_1"),
    ("PUT", "/sandbox/faults"),
    ("DELETE", "/sandbox/faults"),
    ("PUT", "/sandbox/script"),
    ("PUT", "/sandbox/clock"),
]


def test_the_whole_testers_side_is_closed_and_nothing_else(keys):
    async def work():
        said = {}
        async with running(keys) as rig:
            evil = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
            for method, path in CHANGES:
                async with rig.session.request(
                    method, rig.url + path, data=b"{}", headers=evil
                ) as answer:
                    said[method, path] = (
                        answer.status,
                        (await answer.json(content_type=None))["code"],
                    )
            rebound = {"Host": "evil.example"}
            for path in ("/sandbox/wallets", "/wallet/kakaopay_minji"):
                async with rig.session.get(rig.url + path, headers=rebound) as answer:
                    said["GET", path] = answer.status, (await answer.json())["code"]
            async with rig.session.post(
                rig.url + "/aps/api/v1/payments/pay", data=b"{}", headers=evil | rebound
            ) as answer:
                said["signed"] = answer.status
        return said

    said = asyncio.run(work())
    assert said.pop("signed") == 200, "signatures, not origins, keep the networks' side"
    assert {said.pop(("GET", path)) for _, path in list(said) if _ == "GET"} == {
        (421, "foreign_host")
    }
    assert set(said.values()) == {(403, "foreign_page")}


def test_the_list_above_names_all_that_changes_something():
    from tillgate.sandbox.openapi import ROUTES

    known = {
        (method.upper(), path.partition("{")[0]) for method, path, *_ in ROUTES if method != "get"
    }
    assert known == {
        (
            method,
            path.replace("kakaopay_minji", "")
            .replace("none/confirm", "")
            .replace("none/decline", "")
            .replace("rule_1", ""),
        )
        for method, path in CHANGES
    }
