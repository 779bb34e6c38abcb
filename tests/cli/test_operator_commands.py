"""Operators' commands against a running gateway: what they ask for, print and exit with."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support import OPERATOR_KEY, TILL_KEY, gateway
from tillgate.cli import main

SILENT = "http://127.0.0.1:1"


def run(tmp_path, capsys, *commands, key=OPERATOR_KEY):
    """Run commands one after another against one gateway; gives (status, out, err) of each."""

    async def whole():
        async with gateway(tmp_path, SILENT) as api:
            file = tmp_path / "operator.toml"
            file.write_text(f'admin = "{api.admin_url}"\noperator_key = "{key}"\n')
            told = []
            for command in commands:
                words = [*command, "--operator", str(file)]
                status = await asyncio.to_thread(main, words)
                captured = capsys.readouterr()
                told.append((status, captured.out, captured.err))
            return told

    return asyncio.run(whole())


ADD = ("merchant", "add", "M042", "--name", "cup Hu", "--mcc", "5814", "--region", "JP")
ADD += ("--currency", "JPY", "--city", "Tokyo")


def test_a_merchant_from_nothing_to_a_key(tmp_path, capsys):
    told = run(
        tmp_path,
        capsys,
        ADD,
        ("store", "add", "M042", "S1", "--name", "Ginza", "--mcc", "5814"),
        ("terminal", "add", "M042", "S1", "till-7"),
        ("terminal", "close", "M042", "S1", "till-7"),
        ("store", "edit", "M042", "S1", "--name", "Ginza 4"),
        ("merchant", "edit", "M042", "--name", "cup Hu 2"),
        ("merchant", "show", "M042"),
        ("key", "create", "--role", "till", "--merchant", "M042", "--store", "S1"),
    )
    assert [status for status, _, _ in told] == [0] * len(told)
    assert told[6][1] == (
        "M042  cup Hu 2  MCC 5814  Tokyo JP  JPY\n  S1  Ginza 4  MCC 5814\n    till-7  closed\n"
    )
    key, what = told[7][1].splitlines()
    assert key.startswith("tg_test_")
    assert "the one time" in what


def test_keys_are_listed_rotated_and_revoked(tmp_path, capsys):
    told = run(
        tmp_path,
        capsys,
        ("key", "list", "--merchant", "M00000000003"),
        ("key", "rotate", "tg_test_office", "--overlap-s", "60", "--json"),
        ("key", "revoke", "tg_test_till"),
        ("key", "list", "--json"),
        ("audit",),
    )
    assert [status for status, _, _ in told] == [0] * len(told)
    lines = told[0][1].splitlines()
    assert lines[0] == "tg_test_office  back_office  M00000000003  used never"
    assert "tg_test_till  till  M00000000003/A/1  used never" in lines
    new = json.loads(told[1][1])
    assert new["key"].startswith("tg_test_")
    assert told[2][1] == ""
    keys = {each["id"]: each for each in map(json.loads, told[3][1].splitlines())}
    assert keys["tg_test_till"]["revoked_at"]
    assert keys["tg_test_office"]["expires_at"]
    assert new["id"] in keys
    acts = [line.split("  ")[3] for line in told[4][1].splitlines()]
    assert acts == ["key.revoke", "key.rotate", "registry.import"]


ANN = ("user", "add", "ann", "--role", "till", "--merchant", "M00000000001")


def test_people_are_added_changed_and_closed(tmp_path, capsys):
    file = tmp_path / "password.txt"
    file.write_text("a long enough password\n")
    told = run(
        tmp_path,
        capsys,
        ("user", "add", "olga", "--role", "operator"),
        (*ANN, "--password-file", str(file)),
        ("user", "one-time-codes", "olga"),
        ("user", "one-time-codes", "olga", "--off"),
        ("user", "password", "olga", "--json"),
        ("user", "close", "ann"),
        ("user", "reopen", "ann"),
        ("user", "unlock", "ann"),
        ("user", "close", "ann"),
        ("user", "list"),
    )
    assert [status for status, _, _ in told] == [0] * len(told)
    head, shown = told[0][1].splitlines()
    assert head == "olga  operator  signed in never"
    assert len(shown.split()[1].rstrip(";")) == 16
    assert told[1][1] == "ann  till  M00000000001  signed in never\n"
    assert told[2][1].startswith("otpauth://totp/Tillgate:olga?")
    assert len(json.loads(told[4][1])["password"]) == 16
    assert told[9][1].splitlines() == [
        "ann  till  M00000000001  signed in never  closed",
        "olga  operator  signed in never",
    ]


def test_a_password_that_cannot_be_read_or_is_too_short_changes_nothing(tmp_path, capsys):
    short = tmp_path / "short.txt"
    short.write_text("short\n")
    add = ("user", "add", "olga", "--role", "operator", "--password-file")
    missing, refused, listed = run(
        tmp_path, capsys, (*add, str(tmp_path / "none")), (*add, str(short)), ("user", "list")
    )
    assert (missing[0], "cannot be read" in missing[2]) == (2, True)
    assert (refused[0], "$.password" in refused[2], "short" in refused[2]) == (1, True, False)
    assert listed[1] == ""


def test_lists_of_payments_and_merchants(tmp_path, capsys):
    told = run(tmp_path, capsys, ("unresolved",), ("merchant", "list"))
    assert told[0] == (0, "", "")
    assert [line for line in told[1][1].splitlines() if line.startswith("M")] == [
        f"M0000000000{n}  cup Hu  MCC 1405  xxx JP  USD" for n in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("merchant", "show", "M9"), "404 not_there"),
        ((*ADD[:6], "58", *ADD[7:]), "422 invalid_field"),
        (("merchant", "edit", "M00000000001"), "422 missing_field"),
        (("key", "revoke", "tg_test_nobody"), "404 not_there"),
        (("key", "create", "--role", "till"), "422 missing_field"),
    ],
)
def test_a_refusal_is_printed_and_exits_1(tmp_path, capsys, command, words):
    [(status, out, err)] = run(tmp_path, capsys, command)
    assert (status, out) == (1, "")
    assert words in err


def test_a_tills_key_opens_none_of_it(tmp_path, capsys):
    [(status, _, err)] = run(tmp_path, capsys, ("merchant", "list"), key=TILL_KEY)
    assert status == 1
    assert "403 forbidden" in err


def test_a_gateway_that_is_not_there_exits_3_and_says_what_may_be(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TILLGATE_ADMIN_URL", SILENT)
    monkeypatch.setenv("TILLGATE_OPERATOR_KEY", "k")
    assert main([*ADD]) == 3
    assert "list before you do it again" in capsys.readouterr().err
    assert main(["merchant", "list"]) == 3
