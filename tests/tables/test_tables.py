"""Tables as files: what is read, and what is refused with its line."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate import tables
from tillgate.core.codes import CodeKind
from tillgate.core.errors import ConfigError
from tillgate.core.routing import identify
from tillgate.core.routing_table import Destination, Integrations
from tillgate.tables import (
    SHIPPED,
    TableSource,
    load_shipped,
    named,
    read_issuers,
    read_others,
    read_table,
)

GOOD = r"""version = "contract-7"
title = "Ours"
default = "alipay_plus"

[[rule]]
id = "kakao"
pattern = '^281006\d{18}$'
kind = "cgcp"
needs = ["mpp", "alipay_plus"]
to = "mpp"

[[rule]]
id = "rest"
pattern = '^(2[5-9]|30)\d{14,22}$'
to = "alipay_plus"
last_word = true
"""


def problems(text: str, name: str = "t.toml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_table(name, text, issuers={})
    return caught.value.problems


def file_problems(folder: Path, text: str) -> list[str]:
    (folder / "t.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        TableSource(folder / "t.toml").load()
    return caught.value.problems


def test_a_table_is_read_as_it_is_written():
    found = read_table("t.toml", GOOD, issuers={"006": "KakaoPay"})
    assert (found.version, found.title, found.source) == ("contract-7", "Ours", "")
    assert found.default is Destination.ALIPAY_PLUS
    assert found.issuers == {"006": "KakaoPay"}
    kakao, rest = found.rules
    assert (kakao.id, kakao.to, kakao.kind) == ("kakao", Destination.MPP, CodeKind.CGCP)
    # The destination is needed anyway.
    assert kakao.needs == (Destination.ALIPAY_PLUS,)
    assert (kakao.last_word, rest.last_word) == (False, True)
    assert rest.pattern == r"^(2[5-9]|30)\d{14,22}$"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_table_calls_itself_by_its_name_and_says_where_it_comes_from(name):
    found = load_shipped(name)
    assert found.version == name
    assert "Alipay+ docs" in found.source


def test_the_shipped_issuers_are_marked_unofficial_and_have_their_evidence():
    text = (resources.files(tables) / "issuers.toml").read_text("utf-8")
    assert text.startswith("# UNOFFICIAL.")
    rows = tomllib.loads(text)["issuer"]
    assert {row["number"]: row["wallet"] for row in rows} == {
        "004": "AlipayHK",
        "005": "Paytm",
        "006": "KakaoPay",
        "010": "GCash",
        "011": "Touch 'n Go eWallet",
        "012": "DANA",
        "014": "bKash",
    }
    assert load_shipped().issuers == {row["number"]: row["wallet"] for row in rows}
    assert all(row["evidence"] for row in rows)
    assert {row["number"] for row in rows if row["strength"] == "high"} == {"006"}


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


WRONG = [
    # old, new, line, words
    ('version = "contract-7"\n', "", 1, "version is missing"),
    ('"contract-7"', "7", 1, "version must be a text"),
    ('"contract-7"', '"a b"', 1, "version must be a text of the form"),
    ('title = "Ours"', 'titel = "Ours"', 2, "titel is not known here; known: default, rule"),
    ('title = "Ours"', 'title = "a\\u0007"', 2, "title must be a text on one line"),
    ('default = "alipay_plus"\n', "", 1, "default is missing: one of alipay_plus"),
    ('default = "alipay_plus"', 'default = "x"', 3, "default = x is unknown"),
    ('id = "kakao"\n', "", 5, "rule: id is missing"),
    ('id = "rest"', 'id = "kakao"', 13, "rule kakao: an earlier one has the same id"),
    ('id = "rest"', 'id = "default"', 13, "rule default: the id `default` is the default's own"),
    (r"'^281006\d{18}$'", r"'^(\d+)+$'", 7, "rule kakao: the pattern cannot be used: catastroph"),
    (r"'^281006\d{18}$'", r"'^281006[$'", 7, "rule kakao: the pattern cannot be used: a class is"),
    (r"'^281006\d{18}$'", r"'^(28)\1$'", 7, "a backreference is not taken (character 6)"),
    (r"'^281006\d{18}$'", r"'^\d*6\d{13}$'", 7, "it is too complex"),
    (r"'^281006\d{18}$'", "281006", 7, "rule kakao: pattern must be a text"),
    (r"pattern = '^281006\d{18}$'", "", 5, "rule kakao: pattern is missing"),
    ('kind = "cgcp"', 'kind = "CGCP"', 8, "rule kakao: kind = CGCP is unknown; write one of alip"),
    ('"mpp", "alipay_plus"', '"mars", 1', 9, "rule kakao: needs: mars is unknown"),
    ('"mpp", "alipay_plus"', '"mars", 1', 9, "rule kakao: needs: 1 is unknown"),
    ('["mpp", "alipay_plus"]', '"none"', 9, "rule kakao: needs: none is unknown"),
    ('to = "mpp"', 'to = "mars"', 10, "rule kakao: to = mars is unknown; write one of"),
    ('to = "mpp"', 'to = ["mpp"]', 10, "rule kakao: to = ['mpp'] is unknown"),
    ('to = "mpp"\n', "", 5, "rule kakao: to is missing"),
    ("last_word = true", 'last_word = "yes"', 16, "rule rest: last_word must be true or false"),
    ('to = "mpp"', 'too = "mpp"', 10, "rule kakao: too is not known here"),
    ("[[rule]]\nid", "[rule]\nid", 12, "not TOML"),
    ('version = "contract-7"', 'version = "contract-7', 1, "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), WRONG)
def test_a_wrong_table_is_refused_with_file_line_and_reason(old, new, line, words):
    told = problems(changed(old, new))
    assert any(p.startswith(f"t.toml:{line}: ") and words in p for p in told), told


def test_every_problem_is_told_at_once_in_the_order_of_the_lines():
    text = changed('to = "mpp"', 'to = "mars"').replace('id = "rest"', 'id = "kakao"')
    told = problems(text.replace('"alipay_plus"\n\n', '"venus"\n\n'))
    assert [problem.split(" ")[0] for problem in told] == ["t.toml:3:", "t.toml:10:", "t.toml:13:"]


def test_a_table_without_rules_is_refused():
    assert problems('version = "x"\ndefault = "none"') == [
        "t.toml:1: there is no [[rule]]; a table has one at least"
    ]


@pytest.mark.parametrize("rules", ["rule = 1", 'rule = ["x"]', "[rule]\nid = 1"])
def test_rules_that_are_no_list_of_tables_are_refused(rules):
    told = problems(f'version = "x"\ndefault = "none"\n{rules}')
    assert any("write each rule under a header [[rule]]" in problem for problem in told)


def test_rules_without_headers_are_read_and_their_problems_name_the_file():
    text = 'version = "x"\ndefault = "none"\nrule = [{id = "a", pattern = "^1$", to = "mars"}]'
    assert problems(text)[0].startswith("t.toml:1: rule a: to = mars")


def test_too_long_a_text_and_too_many_rules_are_refused():
    assert "more than 262144 characters" in problems("#" * 300_000)[0]
    many = "".join(f"[[rule]]\nid = '{n}'\npattern = '^1$'\nto = 'none'\n" for n in range(501))
    assert any("more than 500" in p for p in problems(f"version='x'\ndefault='none'\n{many}"))


def test_rules_that_together_are_too_complex_are_refused():
    rules = "".join(
        f"[[rule]]\nid = '{n}'\npattern = '^\\d*{n}\\d{{{n + 6}}}$'\nto = 'alipay_plus'\n"
        for n in range(4)
    )
    told = problems(f"version='x'\ndefault='none'\n{rules}")
    assert told == ["t.toml:1: the rules together are too complex: it needs more than 4000 states"]


def test_a_value_in_a_message_is_cut_and_stands_on_one_line():
    told = problems(changed('"alipay_plus"\n\n', f'"{"x" * 900}"\n\n'))[0]
    assert "x" * 60 + "..." in told
    assert "x" * 61 not in told
    assert "\n" not in problems(changed('"alipay_plus"\n\n', '"a\\nb"\n\n'))[0]


# --- Files


def test_a_file_is_a_table_and_its_issuers_may_stand_in_another(tmp_path):
    (tmp_path / "t.toml").write_text(GOOD)
    (tmp_path / "i.toml").write_text('[[issuer]]\nnumber = "006"\nwallet = "Six"\n')
    found = TableSource(tmp_path / "t.toml", tmp_path / "i.toml").load()
    assert found.version == "contract-7"
    code = "281006" + "0" * 18
    assert identify(code, found, Integrations()).issuer == "Six"
    assert identify(code, TableSource(tmp_path / "t.toml").load(), Integrations()).issuer == (
        "KakaoPay"
    )


def test_a_rule_that_can_never_decide_is_refused_with_its_line(tmp_path):
    hidden = '\n[[rule]]\nid = "late"\npattern = \'^281010\\d{18}$\'\nto = "alipay_plus"\n'
    told = file_problems(tmp_path, GOOD + hidden)
    assert len(told) == 1
    assert told[0].startswith(f"{tmp_path}/t.toml:18: rule late: it can never decide: rule rest")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_version_with_other_rules_is_refused(tmp_path, name):
    told = file_problems(tmp_path, changed('"contract-7"', f'"{name}"'))
    assert any(f"version '{name}' is the shipped table's" in problem for problem in told)


def test_a_copy_of_a_shipped_table_is_taken(tmp_path):
    text = (resources.files(tables) / "guide.toml").read_text("utf-8")
    (tmp_path / "t.toml").write_text(text)
    assert TableSource(tmp_path / "t.toml").load().routes_as(load_shipped())


def test_problems_of_both_files_are_told_together(tmp_path):
    (tmp_path / "t.toml").write_text(changed('to = "mpp"', 'to = "mars"'))
    (tmp_path / "i.toml").write_text('[[issuer]]\nnumber = "6"\n')
    with pytest.raises(ConfigError) as caught:
        TableSource(tmp_path / "t.toml", tmp_path / "i.toml").load()
    words = "\n".join(caught.value.problems)
    assert "to = mars" in words
    assert "i.toml:2: issuer 6: number must be a text of the form [0-9]{3}" in words
    assert "wallet is missing" in words
    (tmp_path / "t.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match="number must be"):
        TableSource(tmp_path / "t.toml", tmp_path / "i.toml").load()


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read: No such file"):
        TableSource(tmp_path / "gone.toml").load()
    (tmp_path / "t.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        TableSource(tmp_path / "t.toml").load()


def test_a_table_is_named_by_a_shipped_name_or_a_path():
    assert named("guide") == "guide"
    assert named("./guide") == Path("./guide")
    assert TableSource("guide").name == "guide.toml"
    assert TableSource(Path("a/b.toml")).name == "a/b.toml"


def test_the_same_number_twice_is_refused():
    text = '[[issuer]]\nnumber = "006"\nwallet = "a"\n[[issuer]]\nnumber = "006"\nwallet = "b"\n'
    with pytest.raises(ConfigError, match="issuer 006: an earlier one has the same id"):
        read_issuers("i.toml", text)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("pattern = '^1$'\nbegins = 'x'", "either a pattern or what the text begins with"),
        ("", "either a pattern or what the text begins with"),
        ("begins = 'x'\nlength = 0", "length must be a whole number from 1 to 100"),
        ("begins = 'x'\nlength = true", "length must be a whole number from 1 to 100"),
        (r"pattern = '^(\d*)*$'", "the pattern cannot be used: catastrophic"),
        ("begins = 'x'\nsort = 'food'", "sort = food is unknown"),
    ],
)
def test_a_wrong_row_of_other_codes_is_refused(row, says):
    with pytest.raises(ConfigError, match=says):
        read_others("o.toml", f"[[other]]\nname = 'a'\ncalled = 'an a'\n{row}\n")


def test_the_example_in_the_documentation_is_a_table(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "routing.md").read_text()
    (tmp_path / "t.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    assert TableSource(tmp_path / "t.toml").load().version == "contract-7"


@given(st.text(max_size=200), st.integers(0, len(GOOD)))
def test_any_text_is_a_table_or_refused(piece, at):
    try:
        read_table("t.toml", GOOD[:at] + piece + GOOD[at:], issuers={})
    except ConfigError as error:
        assert error.problems  # noqa: PT017
        assert all(problem.startswith("t.toml:") for problem in error.problems)  # noqa: PT017
