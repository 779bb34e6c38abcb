"""The command line as a person meets it: answers, exit statuses, help, errors. Real processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generated_docs import _commands
from tillgate.cli import build_parser
from tillgate.cli.till import print_payment

CODE = "281006020000000000000012"


def tillgate(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: v for name, v in os.environ.items() if not name.startswith("TILLGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "tillgate", *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        env=clean | environ,
        timeout=60,
        check=False,
    )


IDENTIFIED = [
    # arguments, exit, kind, routing number, issuer, route, rule
    ([CODE], 0, "cgcp", "006", "KakaoPay", "alipay_plus", "4"),
    (["2893612204263667830"], 0, "alipay_plus_19", None, None, "alipay_plus", "1"),
    (["28024456785672301"], 0, "alipay_cn_hk", None, None, "alipay_plus", "default"),
    (["28100602000000000012"], 0, "reserved", "006", "KakaoPay", "alipay_plus", "default"),
    ([CODE, "--direct", "006=kakaopay"], 0, "cgcp", "006", "KakaoPay", "kakaopay", "3"),
    (["28024456785672301", "--direct", "alipay_cn"], 0, "alipay_cn_hk", None, None,
     "alipay_cn", "2"),
    ([CODE, "--without-alipay-plus"], 1, "cgcp", "006", "KakaoPay", None, None),
    (["28" + "0" * 30], 1, "reserved", "000", None, None, None),
    (["4111111111111111"], 1, None, None, None, None, None),
    (["hello"], 1, None, None, None, None, None),
]  # fmt: skip


@pytest.mark.parametrize("case", IDENTIFIED, ids=lambda case: " ".join(case[0]))
def test_identify_tells_where_a_code_goes(case):
    arguments, status, kind, number, issuer, route, rule = case
    done = tillgate("identify", *arguments, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == status
    assert set(told) >= {
        *("kind", "length", "routing_number", "issuer"),
        *("route", "rule", "reason", "masked"),
    }
    assert told["length"] == len(arguments[0])
    assert [told[n] for n in ("kind", "routing_number", "issuer", "route", "rule")] == [
        kind, number, issuer, route, rule,
    ]  # fmt: skip
    assert told["reason"]
    assert arguments[0] not in done.stdout


def test_identify_reads_a_pipe_and_speaks_to_people():
    done = tillgate("identify", "-", stdin=CODE + "\n")
    assert done.returncode == 0
    assert "KakaoPay" in done.stdout
    assert CODE not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["identify"], "CODE"),
        (["identify", CODE, "--direct", "nobody"], "alipay_cn, alipay_hk or NUMBER=NAME"),
        (["no-such-command"], "invalid choice"),
        ([], "COMMAND"),
        (["pay", CODE, "--amount", "JPY:1.5", "--order", "x"], "CURRENCY:MINOR_UNITS"),
        (["pay", CODE, "--amount", "ABC:1", "--order", "x"], "ISO 4217"),
        (["pay", CODE, "--amount", "JPY:100", "--order", "x"], "TILLGATE_TILL"),
        (["pay", CODE, "--amount", "JPY:1", "--order", "x", "--till", "/nowhere"], "/nowhere"),
        (["serve", "--settings", "/nowhere.toml"], "/nowhere.toml"),
        (["serve", "--workers", "0"], "whole number"),
        (["serve", "--workers", "-1"], "whole number"),
        (["serve", "--workers", "many"], "or auto"),
        (["keys", "new", "/proc/nowhere"], "cannot be made"),
        (["code", "--sandbox", "http://127.0.0.1:99999"], "not an address"),
        (["code", "--sandbox", "http://[::1"], "not an address"),
    ],
)
def test_wrong_use_exits_2_and_says_what_to_do(arguments, says):
    done = tillgate(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_refuses_several_workers_on_sqlite_and_names_what_they_need(tmp_path):
    assert tillgate("keys", "new", str(tmp_path)).returncode == 0
    done = tillgate("serve", "--settings", str(tmp_path / "tillgate.toml"), "--workers", "2")
    assert done.returncode == 2
    assert "PostgreSQL" in done.stderr
    assert done.stdout == ""


def test_serve_without_settings_lists_every_missing_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tillgate", "serve"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    for name in ("seal_key_file", "base_url", "client_id", "private_key_file"):
        assert name in done.stderr
    assert "tillgate keys new" in done.stderr


@pytest.mark.parametrize("name", [name for name, _ in _commands(build_parser(), "tillgate")])
def test_every_command_has_help_with_an_example(name):
    done = tillgate(*name.split()[1:], "--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert f"\n  {name}" in done.stdout or "TILLGATE_" in done.stdout


def test_no_gateway_is_status_3_because_nobody_knows():
    done = tillgate(
        *("pay", CODE, "--amount", "JPY:100", "--order", "x", "--gateway", "http://127.0.0.1:1"),
        TILLGATE_API_KEY="tg_test_x",
    )
    assert done.returncode == 3
    assert "--key" in done.stderr
    assert "do not charge" in done.stderr


def test_keys_new_writes_private_files_and_never_overwrites(tmp_path):
    folder = tmp_path / "new"
    done = tillgate("keys", "new", str(folder))
    assert done.returncode == 0, done.stderr
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    key = tomllib_key(folder)
    assert key not in done.stdout
    assert key.encode() not in files["merchants.toml"]
    again = tillgate("keys", "new", str(folder))
    assert again.returncode == 2
    assert "is there already; nothing was written" in again.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def tomllib_key(folder: Path) -> str:
    import tomllib

    return str(tomllib.loads((folder / "till.toml").read_text())["api_key"])


def test_a_key_that_http_cannot_send_is_not_repeated():
    environ = {
        "TILLGATE_API_KEY": "tg_test_SECRET\n",
        "TILLGATE_GATEWAY_URL": "http://127.0.0.1:1",
    }
    done = tillgate("show", "x", **environ)
    assert done.returncode == 2
    assert "SECRET" not in done.stderr + done.stdout


def test_bytes_that_are_no_text_are_no_code():
    done = subprocess.run(
        [sys.executable, "-m", "tillgate", "identify", "-"],
        input=b"\xff\n",
        capture_output=True,
        env=os.environ | {"PYTHONUTF8": "1"},
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_a_full_disk_behind_standard_output_is_told_in_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tillgate", "identify", CODE],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "tillgate: [Errno 28] No space left on device\n"


def test_two_folders_share_no_key(tmp_path):
    for name in ("a", "b"):
        assert tillgate("keys", "new", str(tmp_path / name)).returncode == 0
    for file in ("acquirer-private.pem", "network-private.pem", "seal.key", "till.toml"):
        assert (tmp_path / "a" / file).read_bytes() != (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("status", "is_final", "word", "exit_status"),
    [
        ("SUCCEEDED", True, "PAID", 0),
        ("FAILED", True, "NOT PAID", 1),
        ("CANCELLED", True, "NOT PAID", 1),
        ("PENDING", False, "NOT KNOWN YET", 3),
        ("CANCELLING", False, "NOT KNOWN YET", 3),
        ("CANCELLING", True, "NOT KNOWN YET", 3),  # it was paid, and is being cancelled
        ("UNRESOLVED", True, "NOT KNOWN YET", 3),
    ],
)
def test_a_payment_is_called_paid_or_not_only_when_that_is_known(
    status, is_final, word, exit_status, capsys
):
    payment = {
        "id": "pay_1",
        "status": status,
        "final": is_final,
        "next_step": "none",
        "merchant_order_id": "A-1",
        "amount": {"currency": "JPY", "value": 100},
        "code": "281006************12",
        "rule": "4",
        "table": "guide",
        "route": "alipay_plus",
        "wallet": None,
        "payment_id": None,
        "result": None,
        "paid_at": None,
    }
    assert print_payment(payment, as_json=False) == exit_status
    assert capsys.readouterr().out.startswith(f"{word}  JPY 100\n")
