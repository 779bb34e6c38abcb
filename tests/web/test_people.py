"""Pages' sessions over HTTP: what a cookie opens, and what it never does by itself."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest
from starlette.responses import Response

from tests.operations import merchant_operations, operator_operations
from tests.support import ScriptedNetwork, gateway, order
from tests.web.test_access import pays
from tillgate.core.access import Role
from tillgate.core.limits import Limit
from tillgate.core.lockout import FREE_TRIES
from tillgate.gateway.people import SignedIn, csrf_of
from tillgate.web.door import SessionDoor

PASSWORD = "a long enough password"
CASHIER = {
    "name": "ann",
    "password": PASSWORD,
    "roles": ["till"],
    "merchant_id": "M00000000001",
    "store_id": "S0000000001",
    "terminal_id": "122222",
}
OPERATOR = {"name": "olga", "password": PASSWORD, "roles": ["operator"]}


class Browser:
    """A person's browser at one address: keeps cookies, and names the origin as browsers do."""

    def __init__(self, api, *, is_operators=False):
        self.api = api
        self.url = api.admin_url if is_operators else api.url
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""

    async def ask(self, method, path, *, origin=None, csrf=None, **more):
        headers = dict(more.pop("headers", {}))
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if method != "GET" and origin != "none":
            headers["Origin"] = origin or self.url
        if csrf is not None:
            headers["X-CSRF-Token"] = csrf
        async with self.api.session.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        ) as answer:
            for name, morsel in answer.cookies.items():
                self.set_cookie = morsel.OutputString()
                self.cookies[name] = morsel.value
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def signs_in(self, name="ann", password=PASSWORD, *, origin=None, **more):
        form = {"name": name, "password": password} | more
        return await self.ask("POST", "/sign-in", origin=origin, data=form)

    @property
    def csrf(self):
        [token] = self.cookies.values()
        return csrf_of(token)

    async def pays(self, **more):
        headers = {"Idempotency-Key": "k1", "Prefer": "wait=10"}
        return await self.ask("POST", "/v1/payments", json=order(), headers=headers, **more)


def run(tmp_path, work, **changes):
    async def whole():
        async with ScriptedNetwork(pays).running() as network:
            async with gateway(tmp_path, network.url, **changes) as api:
                for body in (CASHIER, OPERATOR):
                    assert (await api.admin("POST", "/users", body))[0] == 201
                return await work(api)

    return asyncio.run(whole())


@pytest.mark.usefixtures("database")
def test_a_cashier_signs_in_pays_and_signs_out(tmp_path):
    async def work(api):
        browser = Browser(api)
        assert (await browser.ask("GET", "/v1/payments"))[0] == 401
        assert (await browser.signs_in())[0] == 303
        assert browser.headers["Location"] == "/till"
        assert "HttpOnly" in browser.set_cookie
        assert "SameSite=strict" in browser.set_cookie
        assert "Secure" not in browser.set_cookie  # plain http of a test
        assert (await browser.ask("GET", "/v1/payments"))[0] == 200
        status, _ = await browser.pays(csrf=browser.csrf)
        assert status == 201
        assert (await browser.ask("POST", "/sign-out", data={"csrf": "x"}))[0] == 403
        old = dict(browser.cookies)
        assert (await browser.ask("POST", "/sign-out", data={"csrf": browser.csrf}))[0] == 303
        browser.cookies = old
        assert (await browser.ask("GET", "/v1/payments"))[0] == 401

    run(tmp_path, work)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"csrf": ""},
        {"csrf": "wrong"},
        {"csrf": "é"},
        {"csrf": "right", "origin": "http://evil.example"},
        {"csrf": "right", "origin": "null"},
        {"csrf": "right", "origin": "none"},
        {"csrf": "right", "origin": "http://127.0.0.1:1"},
    ],
)
def test_a_cookie_alone_changes_nothing(tmp_path, more):
    async def work(api):
        browser = Browser(api)
        await browser.signs_in()
        csrf = browser.csrf if more.get("csrf") == "right" else more.get("csrf")
        status, _ = await browser.pays(**(more | {"csrf": csrf}))
        assert status == 403
        assert '"payments":[]' in (await browser.ask("GET", "/v1/payments"))[1]

    run(tmp_path, work)


def test_every_change_of_either_api_wants_the_page_s_token(tmp_path):
    async def work(api):
        told = {}
        for person, operations in (
            (Browser(api), merchant_operations()),
            (Browser(api, is_operators=True), operator_operations()),
        ):
            name = "olga" if person.url == api.admin_url else "ann"
            await person.signs_in(name)
            for each in operations:
                if each.method == "GET" or each.permission is None:
                    continue
                path = re.sub(r"\{\w+\}", "x", each.path)
                status, body = await person.ask(each.method, path, json={})
                told[each.name] = (status, "forbidden" in body)
        return told

    told = run(tmp_path, work)
    assert len(told) > 25
    assert set(told.values()) == {(403, True)}


def test_everybody_has_their_own_door(tmp_path):
    async def work(api):
        at_the_till, at_the_console = Browser(api), Browser(api, is_operators=True)
        assert (await at_the_till.signs_in("olga"))[0] == 403
        assert (await at_the_console.signs_in("ann"))[0] == 403
        assert (await at_the_console.signs_in("olga"))[0] == 303
        assert at_the_console.headers["Location"] == "/console"
        assert (await at_the_console.ask("GET", "/admin/v1/users"))[0] == 200
        await at_the_till.signs_in("ann")
        [token] = at_the_till.cookies.values()
        at_the_console.cookies = dict.fromkeys(at_the_console.cookies, token)
        assert (await at_the_console.ask("GET", "/admin/v1/users"))[0] == 401

    run(tmp_path, work)


def test_a_key_is_never_overruled_by_a_cookie(tmp_path):
    async def work(api):
        browser = Browser(api)
        await browser.signs_in()
        wrong = {"Authorization": "Bearer tg_test_nobody"}
        assert (await browser.ask("GET", "/v1/payments", headers=wrong))[0] == 401

    run(tmp_path, work)


def test_a_wrong_password_says_nothing_more_and_its_form_keeps_the_name(tmp_path):
    async def work(api):
        browser = Browser(api)
        known = await browser.signs_in(password="wrong password")
        unknown = await browser.signs_in("nobody")
        assert (known[0], unknown[0]) == (403, 403)
        assert known[1].replace('"ann"', "") == unknown[1].replace('"nobody"', "")
        assert not browser.cookies
        for _ in range(FREE_TRIES):
            await browser.signs_in(password="wrong password")
        waits = await browser.signs_in()
        assert waits == known
        assert (await api.admin("POST", "/users/ann/unlock"))[0] == 200
        assert (await browser.signs_in())[0] == 303

    run(tmp_path, work)


def test_a_form_of_another_origin_signs_nobody_in(tmp_path):
    async def work(api):
        browser = Browser(api)
        for origin in ("http://evil.example", "none"):
            assert (await browser.signs_in(origin=origin))[0] == 403
        assert not browser.cookies

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("asked", "goes_to"),
    [
        ("/till?x=1", "/till?x=1"),
        ("", "/till"),
        ("https://evil.example", "/till"),
        ("//evil.example", "/till"),
        ("/\\evil.example", "/till"),
        ("/a\r\nSet-Cookie: x=1", "/till"),
        ("javascript:alert(1)", "/till"),
    ],
)
def test_one_comes_back_to_a_page_of_ours_only(tmp_path, asked, goes_to):
    async def work(api):
        browser = Browser(api)
        await browser.signs_in(next=asked)
        return browser.headers["Location"]

    assert run(tmp_path, work) == goes_to


def test_what_is_typed_comes_out_as_text_and_too_much_is_refused(tmp_path):
    async def work(api):
        browser = Browser(api)
        _, page = await browser.signs_in('"><script>alert(1)</script>')
        assert "<script>alert" not in page
        assert "no-store" in browser.headers["Cache-Control"]
        assert "script-src 'self'" in browser.headers["Content-Security-Policy"]
        assert (await browser.signs_in("x" * 5000))[0] == 413

    run(tmp_path, work)


def test_a_password_and_a_token_are_in_no_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)

    async def work(api):
        browser = Browser(api)
        await browser.signs_in(password="wrong password")
        await browser.signs_in()
        await browser.pays(csrf=browser.csrf)
        return [*browser.cookies.values(), browser.csrf]

    for secret in (*run(tmp_path, work), PASSWORD, "wrong password"):
        assert secret not in caplog.text


def test_accounts_are_made_changed_and_audited(tmp_path):
    async def work(api):
        assert (await api.admin("POST", "/users", CASHIER))[0] == 409
        status, told = await api.admin("POST", "/users", CASHIER | {"name": "b", "store_id": "no"})
        assert (status, told["code"]) == (404, "not_there")
        for name, value in (
            ("password", "short"),
            ("name", "Ann"),
            ("roles", ["operator", "till"]),
            ("merchant_id", None),
        ):
            status, told = await api.admin("POST", "/users", CASHIER | {"name": "c", name: value})
            assert (status, told["path"]) == (422, f"$.{name}")
        browser = Browser(api)
        await browser.signs_in()
        assert (await api.admin("POST", "/users/ann/close"))[1]["closed"] is True
        assert (await browser.ask("GET", "/v1/payments"))[0] == 401
        assert (await browser.signs_in())[0] == 403
        await api.admin("POST", "/users/ann/reopen")
        _, codes = await api.admin("POST", "/users/ann/one-time-codes")
        assert codes["uri"].startswith("otpauth://totp/Tillgate:ann?")
        assert (await browser.signs_in())[0] == 403
        await api.admin("DELETE", "/users/ann/one-time-codes")
        await api.admin("POST", "/users/ann/password", {"password": "another password"})
        assert (await browser.signs_in())[0] == 403
        assert (await browser.signs_in(password="another password"))[0] == 303
        assert (await api.admin("POST", "/users/nobody/close"))[0] == 404
        _, listed = await api.admin("GET", "/users")
        assert [each["name"] for each in listed["users"]] == ["ann", "olga"]
        _, audit = await api.admin("GET", "/audit?limit=100")
        assert "another password" not in str(audit) + str(listed)
        assert codes["secret"] not in str(audit) + str(listed)
        acts = [each["act"] for each in audit["acts"] if each["act"].startswith("user.")]
        assert acts[::-1] == [
            *["user.add"] * 2,
            "user.sign_in",
            "user.close",
            "user.reopen",
            "user.one_time_codes.start",
            "user.one_time_codes.end",
            "user.password",
            "user.sign_in",
        ]

    run(tmp_path, work)


# --- The demonstration


def test_the_demonstration_signs_in_by_itself(tmp_path):
    async def work(api):
        cashier, operator = Browser(api), Browser(api, is_operators=True)
        assert (await cashier.ask("GET", "/sign-in?next=/till"))[0] == 303
        assert (await cashier.pays(csrf=cashier.csrf))[0] == 201
        assert (await operator.ask("GET", "/sign-in"))[0] == 303
        assert (await operator.ask("GET", "/admin/v1/payments"))[0] == 200
        both = await asyncio.gather(*(Browser(api).ask("GET", "/sign-in") for _ in range(4)))
        assert [status for status, _ in both] == [303] * 4
        # Nobody signs in as one of them by hand.
        assert (await Browser(api).signs_in("demo-cashier", "!"))[0] == 403

    run(tmp_path, work, is_demo=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
    ],
)
def test_the_demonstration_signs_in_nobody_from_elsewhere(tmp_path, headers):
    async def work(api):
        browser = Browser(api)
        status, page = await browser.ask("GET", "/sign-in", headers=headers)
        assert (status, "Password" in page) == (200, True)
        assert not browser.cookies

    run(tmp_path, work, is_demo=True)


def test_without_the_setting_nobody_is_signed_in(tmp_path):
    async def work(api):
        assert (await Browser(api).ask("GET", "/sign-in"))[0] == 200

    run(tmp_path, work)


def test_where_money_is_real_the_cookie_goes_over_https_only():
    door = SessionDoor(
        None, None, Limit(0, 1), cookie="c", roles=frozenset({Role.TILL}), is_secure=True
    )
    answer = Response()
    door.let_in(answer, SignedIn("token", None, None))
    assert answer.headers["set-cookie"].startswith("__Host-c=token;")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
