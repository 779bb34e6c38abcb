"""The table in force, and how another one takes its place."""

from __future__ import annotations

import logging

import pytest

from tillgate.core.routing_table import Integrations
from tillgate.gateway.routes import Routes
from tillgate.tables import TableSource

GCASH = "281010897274821897274821"
TABLE = r"""version = "{version}"
default = "alipay_plus"
[[rule]]
id = "{id}"
pattern = '{pattern}'
to = "alipay_plus"
"""


def written(version="one", id="a", pattern=r"^28\d{22}$"):
    return TABLE.format(version=version, id=id, pattern=pattern)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(written())
    return path


@pytest.fixture
def routes(file, tmp_path, caplog):
    caplog.set_level(logging.INFO, "tillgate")
    (tmp_path / "i.toml").write_text('[[issuer]]\nnumber = "010"\nwallet = "Ten"\n')
    source = TableSource(file, tmp_path / "i.toml")
    return Routes(source.load(), Integrations(), source)


def test_it_answers_by_the_table_in_force(routes):
    found = routes.identify(GCASH)
    assert (found.route, found.rule, found.table) == ("alipay_plus", "a", "one")
    assert routes.explain(GCASH).identified == found


def test_another_table_takes_its_place(routes, file, caplog):
    file.write_text(written("two", "b"))
    assert routes.reload()
    assert (routes.table.version, routes.identify(GCASH).rule) == ("two", "b")
    assert caplog.messages == ["routing table 'one' replaced by 'two', 1 rules, 1 issuers"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (written("two", pattern=r"^(\d+)+$"), "t.toml:5: rule a: the pattern cannot be used"),
        (written("two").replace("alipay_plus", "mars"), "to = mars is unknown"),
        ("nonsense", "t.toml:1: not TOML"),
        (written("one", "b"), "the rules have changed under the version 'one'"),
        (written("guide"), "version 'guide' is the shipped table's"),
    ],
)
def test_a_wrong_one_is_told_and_the_old_one_stays(routes, file, caplog, text, says):
    file.write_text(text)
    assert not routes.reload()
    assert routes.table.version == "one"
    assert routes.identify(GCASH).rule == "a"
    assert any(says in message for message in caplog.messages)
    assert all(record.levelname == "ERROR" for record in caplog.records)
    # Once it is right again, it is taken.
    file.write_text(written("two"))
    assert routes.reload()


def test_every_problem_gets_a_line(routes, file, caplog):
    file.write_text(written("two").replace("alipay_plus", "mars"))
    assert not routes.reload()
    assert len(caplog.messages) == 2


def test_a_file_that_is_gone_leaves_the_table_in_force(routes, file, caplog):
    file.unlink()
    assert not routes.reload()
    assert "cannot be read" in caplog.text
    assert routes.identify(GCASH).rule == "a"


def test_names_of_issuers_may_change_under_a_version(routes, tmp_path):
    assert routes.identify(GCASH).issuer == "Ten"
    (tmp_path / "i.toml").write_text('[[issuer]]\nnumber = "010"\nwallet = "GCash"\n')
    assert routes.reload()
    assert routes.identify(GCASH).issuer == "GCash"
    (tmp_path / "i.toml").write_text('[[issuer]]\nnumber = "010"\n')
    assert not routes.reload()
    assert routes.identify(GCASH).issuer == "GCash"


def test_no_digit_of_a_code_is_logged(routes, caplog):
    caplog.set_level(logging.DEBUG)
    routes.identify(GCASH)
    routes.explain(GCASH)
    assert caplog.text == ""
