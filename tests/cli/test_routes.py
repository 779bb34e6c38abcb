"""`tillgate routes` and the reasons of `tillgate identify`, as a person meets them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.cli.test_cli import tillgate
from tillgate import tables

GUIDE = (resources.files(tables) / "guide.toml").read_text("utf-8")
OURS = r"""version = "contract-7"
default = "alipay_plus"
[[rule]]
id = "kakao"
pattern = '^281006\d{18}$'
to = "none"
[[rule]]
id = "rest"
pattern = '^(2[5-9]|30)\d{14,22}$'
to = "alipay_plus"
"""
LATE = '[[rule]]\nid = "late"\npattern = \'^281010\\d{18}$\'\nto = "alipay_plus"\n'


def written(folder: Path, text: str) -> str:
    (folder / "t.toml").write_text(text)
    return str(folder / "t.toml")


@pytest.mark.parametrize("name", ["guide", "2023-08"])
def test_a_shipped_table_is_clean(name):
    done = tillgate("routes", "check", name)
    assert done.returncode == 0
    assert "wrong: nothing" in done.stdout
    assert "16 digits" in done.stdout


def test_a_table_is_shown_with_what_it_changes(tmp_path):
    done = tillgate("routes", "check", written(tmp_path, OURS))
    assert done.returncode == 0
    assert "24 digits, prefix 28, routing number 006" in done.stdout
    assert "CHANGES A ROUTE HERE" in done.stdout
    assert "difference to 'guide', which is in force:" in done.stdout


def test_json_tells_the_same(tmp_path):
    done = tillgate("routes", "check", written(tmp_path, OURS + LATE), "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["version"], told["running"], told["problems"]) == ("contract-7", "guide", [])
    [never] = [finding for finding in told["findings"] if finding["matters"]]
    assert (never["what"], never["rules"]) == ("never", ["late"])
    changed = [change for change in told["changes"] if change["is_here"]]
    assert {
        "lengths": "24",
        "prefixes": "28",
        "numbers": "006",
    } in [where for change in changed for where in change["where"]]


def test_a_rule_that_can_never_decide_is_status_1(tmp_path):
    done = tillgate("routes", "check", written(tmp_path, OURS + LATE))
    assert done.returncode == 1
    assert "rule late: it can never decide: rule rest above" in done.stdout


def test_codes_without_a_route_are_status_1(tmp_path):
    text = OURS.replace('default = "alipay_plus"', 'default = "none"')
    done = tillgate("routes", "check", written(tmp_path, text.replace("{14,22}", "{15,22}")))
    assert done.returncode == 1
    assert "every code of 16 digits\n    no rule claims them and there is no def" in done.stdout


def test_other_rules_under_the_version_in_force_are_status_1(tmp_path):
    done = tillgate("routes", "check", written(tmp_path, OURS.replace("contract-7", "guide")))
    assert done.returncode == 1
    assert "raise the version" in done.stdout


def test_a_copy_of_the_table_in_force_differs_in_nothing(tmp_path):
    done = tillgate("routes", "check", written(tmp_path, GUIDE))
    assert done.returncode == 0
    assert "which is in force: none" in done.stdout


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_what_is_no_table_is_status_2_with_every_problem(tmp_path, json_too):
    text = OURS.replace('"none"', '"mars"').replace("{18}", "{99}")
    done = tillgate("routes", "check", written(tmp_path, text), *json_too)
    assert done.returncode == 2
    said = done.stdout if json_too else done.stderr
    assert "t.toml:5: rule kakao: the pattern cannot be used" in said
    assert "t.toml:6: rule kakao: to = mars is unknown" in said


def test_a_table_that_is_not_there_is_status_2():
    assert "cannot be read" in tillgate("routes", "check", "/nowhere.toml").stderr


def test_the_settings_say_which_table_is_in_force_and_who_is_connected(tmp_path):
    written(tmp_path, OURS)
    (tmp_path / "tillgate.toml").write_text(
        '[routing]\ntable = "t.toml"\nmpp_codes = "any_length"\n'
        '[connector.cn]\nkind = "aps_direct"\ntakes = "alipay_cn"\n'
    )
    settings = ("--settings", str(tmp_path / "tillgate.toml"))
    shown = tillgate("routes", "show", *settings)
    assert shown.stdout.startswith("contract-7: ")
    assert "rule kakao" in shown.stdout
    checked = json.loads(tillgate("routes", "check", "guide", "--json", *settings).stdout)
    assert checked["running"] == "contract-7"
    overlaps = [f["rules"] for f in checked["findings"] if f["what"] == "overlap"]
    assert ["2", "3"] in overlaps
    # Expression 2 counts here: AlipayCN is connected, and Alipay+ is not.
    assert any(change["is_here"] for change in checked["changes"])


def test_wrong_settings_are_status_2(tmp_path):
    (tmp_path / "tillgate.toml").write_text(
        '[routing]\ncn_hk_first = "x"\n[connector.cn]\ntakes = "mars"\n'
    )
    done = tillgate("routes", "show", "--settings", str(tmp_path / "tillgate.toml"))
    assert done.returncode == 2
    assert "routing.cn_hk_first: must be one of alipay_cn, alipay_hk, consult" in done.stderr
    assert "connector.cn.takes: mars" in done.stderr


def test_show_prints_the_table_in_force():
    done = tillgate("routes", "show", "--json")
    told = json.loads(done.stdout)
    assert told["version"] == "guide"
    assert [rule["id"] for rule in told["rules"]] == ["1", "2", "3", "4"]
    assert told["rules"][0] == {
        "id": "1",
        "pattern": r"^(2[5-9]|30)9\d{10}6\d{5}$",
        "to": "alipay_plus",
        "kind": "alipay_plus_19",
        "needs": [],
        "last_word": True,
    }
    assert told["issuers"]["006"] == "KakaoPay"
    people = tillgate("routes", "show").stdout
    assert "alipay_plus_19 only" in people
    assert "006 KakaoPay" in people


# --- tillgate identify


def test_identify_tells_the_layout_and_every_rule():
    done = tillgate("identify", "281006020000000000000012", "--json")
    told = json.loads(done.stdout)
    assert told["layout"] == {
        "prefix": "28",
        "agreement_id": "1",
        "routing_number": "006",
        "business_type": "02",
    }
    assert [(rule["rule"], rule["matches"], rule["decides"]) for rule in told["rules"]] == [
        ("1", False, False),
        ("2", False, False),
        ("3", True, False),
        ("4", True, True),
    ]
    people = tillgate("identify", "281006020000000000000012").stdout
    assert "business type    02" in people
    assert "=> rule 4" in people


def test_identify_takes_the_settings_of_routing():
    code = "28024456785672301"
    done = tillgate(
        *("identify", code, "--direct", "alipay_cn", "--direct", "alipay_hk=hong_kong"),
        *("--cn-hk-first", "consult"),
    )
    assert done.returncode == 0
    assert "ask first        hong_kong, whose code it is" in done.stdout
    reserved = ("identify", "28100602000000000012", "--direct", "alipay_cn", "--json")
    cn = tillgate(*reserved, "--reserved-codes", "alipay_cn")
    assert json.loads(cn.stdout)["route"] == "alipay_cn"
    direct = tillgate(*reserved, "--direct", "006=kakaopay", "--mpp-codes", "any_length")
    assert json.loads(direct.stdout)["route"] == "kakaopay"


def test_identify_takes_another_table(tmp_path):
    code = "281006020000000000000012"
    done = tillgate("identify", code, "--table", written(tmp_path, OURS))
    assert done.returncode == 1
    assert "Rule kakao of the table refuses it." in done.stdout
    later = tillgate("identify", "2593612204263667830", "--table", "2023-08", "--json")
    assert json.loads(later.stdout)["rule"] == "default"
    wrong = tillgate("identify", code, "--table", written(tmp_path, OURS + LATE))
    assert wrong.returncode == 2
    assert "rule late" in wrong.stderr


def test_identify_names_another_wallets_code():
    done = tillgate("identify", "134567890123456789")
    assert done.returncode == 1
    assert "other            WeChat Pay" in done.stdout
    assert "This is a WeChat Pay code" in done.stdout
