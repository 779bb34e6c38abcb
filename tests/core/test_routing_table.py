import pytest

from tillgate.core.automaton import TooComplex
from tillgate.core.codes import CodeKind
from tillgate.core.patterns import BadPattern
from tillgate.core.routing_table import Destination, RoutingTable, Rule


def rule(name: str, pattern: str, **more) -> Rule:
    return Rule(id=name, pattern=pattern, to=Destination.ALIPAY_PLUS, **more)


def table(*rules: Rule, **more) -> RoutingTable:
    return RoutingTable(version="t", rules=rules, default=Destination.ALIPAY_PLUS, **more)


def test_all_rules_are_asked_at_once_and_told_in_order():
    found = table(rule("wide", r"^28\d*$"), rule("narrow", r"^281006\d{18}$"))
    assert found.automaton.matching("281006" + "1" * 18) == (0, 1)
    assert found.automaton.matching("281007" + "1" * 18) == (0,)
    assert found.automaton.matching("27" + "1" * 22) == ()


def test_a_rule_of_a_kind_speaks_of_codes_of_that_kind_only():
    wide = rule("r", r"^28\d*$", kind=CodeKind.CGCP)
    assert wide.automaton.lengths() == (24,)


def test_a_rule_with_a_wrong_expression_cannot_be_made():
    with pytest.raises(BadPattern):
        rule("r", r"^(\d+)+$")


def test_rules_that_together_need_too_many_states_are_refused():
    with pytest.raises(TooComplex):
        table(*(rule(str(n), rf"^\d*{n}\d{{{n + 6}}}$") for n in range(4)))


def test_two_tables_route_alike_whatever_they_are_called():
    one, other = rule("1", r"^28\d*$"), rule("2", r"^28\d*$")
    assert table(one).routes_as(table(one, title="newer", issuers={"006": "KakaoPay"}))
    assert not table(one).routes_as(table(other))
    assert not table(one).routes_as(table(one, one))
    assert not table(one, other).routes_as(table(other, one))
    elsewhere = RoutingTable(version="t", rules=(one,), default=Destination.NONE)
    assert not table(one).routes_as(elsewhere)
