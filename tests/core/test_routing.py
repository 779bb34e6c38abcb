import dataclasses
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.code_space import CodeSpace
from tillgate.core.codes import CodeKind
from tillgate.core.routing import Consult, Identified, Shape, decided, identify, settled
from tillgate.core.routing_table import (
    CnHkFirst,
    Destination,
    Integrations,
    MppCodes,
    ReservedCodes,
    RoutingTable,
    Rule,
)
from tillgate.tables import load_shipped

GUIDE = load_shipped("guide")
LATER = load_shipped("2023-08")

CN = {"alipay_cn": "cn"}
HK = {"alipay_hk": "hk"}
WALLETS = {"006": "kakaopay", "010": "gcash", "003": "mpp_3"}

ALIPAY_PLUS_ONLY = Integrations()
WITH_CN = Integrations(direct=CN)
WITH_HK = Integrations(direct=HK)
WITH_BOTH = Integrations(direct=CN | HK)
HK_FIRST = Integrations(direct=CN | HK, cn_hk_first=CnHkFirst.ALIPAY_HK)
WITH_WALLETS = Integrations(direct=WALLETS)
WITH_ALL = Integrations(direct=CN | HK | WALLETS)
NOTHING = Integrations(alipay_plus=False)
ONLY_CN = Integrations(alipay_plus=False, direct=CN)
ONLY_HK = Integrations(alipay_plus=False, direct=HK)
ONLY_BOTH = Integrations(alipay_plus=False, direct=CN | HK)
ONLY_WALLETS = Integrations(alipay_plus=False, direct=WALLETS)
EVERYBODY = [
    ALIPAY_PLUS_ONLY, WITH_CN, WITH_HK, WITH_BOTH, WITH_WALLETS,
    NOTHING, ONLY_CN, ONLY_HK, ONLY_BOTH, ONLY_WALLETS,
]  # fmt: skip

ALIPAY_PLUS_19 = "2893612204263667830"
ALIPAY_PLUS_19_BY_25 = "2593612204263667830"
GCASH_24 = "281010897274821897274821"
ISSUER_001 = "251001020123456789012345"
GUIDE_003 = "281003020123456789012345"
LEGACY_17 = "28024456785672301"
LEGACY_18 = "280244567856723026"
SHAPED_AS_003_17 = "28100302012345678"
GUIDE_SAMPLE = "28100602000000000012"
SIXTEEN = "2512345678901234"
TWENTY_THREE = "28" + "1" * 21

# Where each acquirer of EVERYBODY sends each code, by the guide's table and the default settings.
# Codes: codes-and-flows section 1.5.
A = "alipay_plus"
ROUTES = [
    # code, rules that match, alipay+, +cn, +hk, +both, +wallets, none, cn, hk, both, wallets
    (ALIPAY_PLUS_19, "12", A, A, A, A, A, None, None, None, None, None),
    (ALIPAY_PLUS_19_BY_25, "12", A, A, A, A, A, None, None, None, None, None),
    (GCASH_24, "34", A, A, A, A, "gcash", None, None, None, None, "gcash"),
    (ISSUER_001, "34", A, A, A, A, A, None, None, None, None, None),
    (GUIDE_003, "34", A, A, A, A, "mpp_3", None, None, None, None, "mpp_3"),
    (LEGACY_17, "2", A, "cn", "hk", "cn", A, None, "cn", "hk", "cn", None),
    (LEGACY_18, "2", A, "cn", "hk", "cn", A, None, "cn", "hk", "cn", None),
    # Digits 4 to 6 of a code with 16 to 19 digits are the wallet's own: 003 is no routing number.
    (SHAPED_AS_003_17, "2", A, "cn", "hk", "cn", A, None, "cn", "hk", "cn", None),
    # Reserved lengths go to Alipay+ where it is integrated, else where expression 2 says.
    (GUIDE_SAMPLE, "2", A, A, A, A, A, None, "cn", "hk", "cn", None),
    (TWENTY_THREE, "2", A, A, A, A, A, None, "cn", "hk", "cn", None),
    # No expression takes 16 digits; only AlipayCN has such codes.
    (SIXTEEN, "", A, A, A, A, A, None, "cn", None, "cn", None),
    # Above 24 digits codes are carried, and claimed by no rule.
    ("28" + "1" * 23, "", None, None, None, None, None, None, None, None, None, None),
    ("281006" + "1" * 26, "", None, None, None, None, None, None, None, None, None, None),
]


@pytest.mark.parametrize("case", ROUTES, ids=lambda case: f"{len(case[0])} digits")
def test_the_guides_table_routes(case):
    text, _, *routes = case
    for integrations, route in zip(EVERYBODY, routes, strict=True):
        found = identify(text, GUIDE, integrations)
        assert found.route == route, integrations
        assert (found.rule is None) is (route is None)
        assert found.reason.endswith(".")
        assert found.table == "guide"


@pytest.mark.parametrize(
    ("text", "integrations", "rule"),
    [
        (ALIPAY_PLUS_19, ALIPAY_PLUS_ONLY, "1"),
        (ALIPAY_PLUS_19, WITH_CN, "1"),
        (LEGACY_17, WITH_CN, "2"),
        (LEGACY_17, ALIPAY_PLUS_ONLY, "default"),
        (GCASH_24, WITH_WALLETS, "3"),
        (GCASH_24, ALIPAY_PLUS_ONLY, "4"),
        (GUIDE_SAMPLE, WITH_CN, "default"),
        (GUIDE_SAMPLE, ONLY_CN, "2"),
        (SIXTEEN, ONLY_CN, "default"),
        (ALIPAY_PLUS_19, ONLY_CN, None),
    ],
)
def test_the_rule_that_decided_is_told(text, integrations, rule):
    assert identify(text, GUIDE, integrations).rule == rule


def test_the_guides_sample_goes_to_alipay_plus_because_no_rule_claims_it():
    assert identify("28100602000000000012", GUIDE, Integrations()) == Identified(
        kind=CodeKind.RESERVED,
        length=20,
        routing_number="006",
        issuer="KakaoPay",
        route="alipay_plus",
        rule="default",
        reason="No rule claims it; recognised codes go to Alipay+.",
        masked="281006************12",
        table="guide",
        consult=None,
        other=None,
    )


# --- The table against the guide's page

GUIDE_EXPRESSIONS = {
    "1": r"(2[5-9]|30)9\d{10}6\d{5}",
    "2": r"(2[5-9]|30)\d{15,21}",
    "3": r"(2[5-9]|30)\d\d\d\d\d*",
    "4": r"(2[5-9]|30)\d{22}",
}
DIGITS = st.one_of(
    st.text("0123456789", max_size=32),
    st.from_regex(r"(2[5-9]|30)9[0-9]{10}6[0-9]{5}", fullmatch=True),
    st.from_regex(r"(2[5-9]|30)[0-9]{14,22}", fullmatch=True),
)


@given(DIGITS)
def test_the_expressions_are_the_guides_own_in_its_order(digits):
    expected = tuple(
        at
        for at, expression in enumerate(GUIDE_EXPRESSIONS.values())
        if re.fullmatch(expression, digits, re.ASCII)
    )
    assert GUIDE.automaton.matching(digits) == expected
    assert [rule.id for rule in GUIDE.rules] == list(GUIDE_EXPRESSIONS)


@pytest.mark.parametrize("case", ROUTES, ids=lambda case: f"{len(case[0])} digits")
def test_the_expressions_match_what_was_found_by_running_the_guides(case):
    matching = {GUIDE.rules[index].id for index in GUIDE.automaton.matching(case[0])}
    assert matching - {"3"} == set(case[1]) - {"3"}


def test_the_later_table_knows_alipay_plus_19_digit_codes_by_289_only():
    assert identify(ALIPAY_PLUS_19, LATER, WITH_CN).rule == "1"
    other = identify(ALIPAY_PLUS_19_BY_25, LATER, WITH_CN)
    assert (other.route, other.rule, other.table) == ("cn", "2", "2023-08")
    assert identify(ALIPAY_PLUS_19_BY_25, LATER, ALIPAY_PLUS_ONLY).route == "alipay_plus"


def test_the_later_table_is_the_guides_but_for_its_first_expression():
    assert LATER.rules[1:] == GUIDE.rules[1:]
    assert dataclasses.replace(LATER.rules[0], pattern=GUIDE.rules[0].pattern) == GUIDE.rules[0]
    assert LATER.default == GUIDE.default


# --- The settings for what the guide leaves open


def having(alipay_plus: bool = True, **settings) -> Integrations:
    return Integrations(alipay_plus=alipay_plus, **settings)


PREFER_CN = ReservedCodes.ALIPAY_CN


@pytest.mark.parametrize(
    ("integrations", "route", "rule"),
    [
        (having(direct=CN), "alipay_plus", "default"),
        (having(direct=CN, reserved_codes=PREFER_CN), "cn", "2"),
        # Where the preferred one is not integrated, the other one.
        (having(alipay_plus=False, direct=CN), "cn", "2"),
        (having(direct=HK, reserved_codes=PREFER_CN), "alipay_plus", "default"),
        (having(reserved_codes=PREFER_CN), "alipay_plus", "default"),
        # AlipayHK has no code that long, but without anybody else expression 2 stands.
        (having(alipay_plus=False, direct=HK), "hk", "2"),
        # With both, a code that cannot be AlipayHK's is not asked about.
        (having(direct=CN | HK, reserved_codes=PREFER_CN, cn_hk_first=CnHkFirst.ALIPAY_HK),
         "cn", "2"),
        (having(direct=CN | HK, reserved_codes=PREFER_CN, cn_hk_first=CnHkFirst.CONSULT),
         "cn", "2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("length", [20, 21, 22, 23])
def test_codes_of_reserved_lengths_go_where_the_setting_says(length, integrations, route, rule):
    found = identify(GUIDE_SAMPLE[:19] + "1" * (length - 19), GUIDE, integrations)
    assert (found.route, found.rule, found.consult) == (route, rule, None)


ANY_LENGTH = MppCodes.ANY_LENGTH


@pytest.mark.parametrize("length", range(16, 25))
def test_a_routing_number_is_read_in_24_digits_unless_the_setting_says_more(length):
    text = "281006" + "0" * (length - 6)
    assert (identify(text, GUIDE, WITH_WALLETS).route == "kakaopay") is (length == 24)
    any_length = having(direct=WALLETS, mpp_codes=ANY_LENGTH)
    assert (identify(text, GUIDE, any_length).route == "kakaopay") is (length >= 20)


@pytest.mark.parametrize("reserved", ReservedCodes)
@pytest.mark.parametrize("alipay_plus", [True, False])
def test_a_routing_number_at_any_length_comes_before_alipay_cn(reserved, alipay_plus):
    integrations = Integrations(
        alipay_plus=alipay_plus,
        direct=CN | WALLETS,
        reserved_codes=reserved,
        mpp_codes=ANY_LENGTH,
    )
    found = identify(GUIDE_SAMPLE, GUIDE, integrations)
    assert (found.route, found.rule) == ("kakaopay", "3")
    # A number that names nobody here changes nothing.
    other = identify("281999" + "0" * 14, GUIDE, integrations)
    goes_to_cn = reserved is PREFER_CN or not alipay_plus
    assert other.route == ("cn" if goes_to_cn else "alipay_plus")


def test_a_rule_leaves_a_code_only_to_somebody_whom_the_table_asks():
    """Without a rule for wallets and without a default, AlipayCN keeps the reserved lengths."""
    table = dataclasses.replace(GUIDE, rules=GUIDE.rules[1:2], default=Destination.NONE)
    everything = having(direct=CN | WALLETS, mpp_codes=ANY_LENGTH)
    assert identify(GUIDE_SAMPLE, table, everything).route == "cn"


@pytest.mark.parametrize(
    ("first", "route"),
    [(CnHkFirst.ALIPAY_CN, "cn"), (CnHkFirst.ALIPAY_HK, "hk"), (CnHkFirst.CONSULT, "cn")],
)
def test_with_both_connected_a_setting_says_who_is_asked_first(first, route):
    found = identify(LEGACY_17, GUIDE, having(direct=CN | HK, cn_hk_first=first))
    assert (found.route, found.rule) == (route, "2")
    expected = Consult(ask="hk", alipay_cn="cn", alipay_hk="hk", another="alipay_plus")
    assert found.consult == (expected if first is CnHkFirst.CONSULT else None)


@pytest.mark.parametrize("direct", [CN, HK])
def test_with_one_connected_nobody_is_consulted(direct):
    found = identify(LEGACY_17, GUIDE, having(direct=direct, cn_hk_first=CnHkFirst.CONSULT))
    assert (found.route, found.consult) == (next(iter(direct.values())), None)


@pytest.mark.parametrize(
    ("answer", "alipay_plus", "route"),
    [
        ("ALIPAY_CN", True, "cn"),
        ("ALIPAY_HK", True, "hk"),
        ("KAKAOPAY", True, "alipay_plus"),
        ("KAKAOPAY", False, None),
        (None, True, "cn"),
        (None, False, "cn"),
    ],
)
def test_alipay_hks_answer_decides_and_without_one_alipay_cn_is_asked(answer, alipay_plus, route):
    integrations = having(alipay_plus, direct=CN | HK, cn_hk_first=CnHkFirst.CONSULT)
    asked = identify(LEGACY_17, GUIDE, integrations)
    found = settled(asked, answer)
    assert (found.route, found.consult) == (route, None)
    assert found.rule == ("2" if route else None)
    assert found.masked == asked.masked
    assert found.reason.endswith(".")


def test_what_needs_no_answer_is_settled_as_it_is():
    found = identify(GCASH_24, GUIDE, ALIPAY_PLUS_ONLY)
    assert settled(found, "ALIPAY_HK") == found


# --- Tables of an acquirer's own


def table_of(*rules: Rule, default: Destination = Destination.NONE) -> RoutingTable:
    return RoutingTable(version="contract-7", rules=rules, default=default)


def rule(to: Destination, pattern: str = r"^28\d*$", name: str = "r", **more) -> Rule:
    return Rule(id=name, pattern=pattern, to=to, **more)


@pytest.mark.parametrize(
    ("to", "routes"),
    [
        (Destination.ALIPAY_PLUS, [A, A, A, A, A, None, None, None, None, None]),
        (Destination.ALIPAY_CN, [None, "cn", None, "cn", None, None, "cn", None, "cn", None]),
        (Destination.ALIPAY_HK, [None, None, "hk", "hk", None, None, None, "hk", "hk", None]),
        (Destination.CN_HK, [None, "cn", "hk", "cn", None, None, "cn", "hk", "cn", None]),
        (Destination.MPP, [None] * 10),
        (Destination.NONE, [None] * 10),
    ],
)
def test_a_rule_leads_to_its_destination_where_that_is_connected(to, routes):
    table = table_of(rule(to))
    assert [identify(LEGACY_17, table, who).route for who in EVERYBODY] == routes


def test_a_rule_may_need_more_than_its_destination():
    table = table_of(rule(Destination.ALIPAY_PLUS, needs=(Destination.ALIPAY_CN,)))
    assert identify(LEGACY_17, table, ALIPAY_PLUS_ONLY).route is None
    assert identify(LEGACY_17, table, WITH_CN).route == "alipay_plus"
    assert identify(LEGACY_17, table, ONLY_CN).route is None


def test_a_rule_that_leads_nowhere_refuses_and_the_rest_is_not_asked():
    table = table_of(rule(Destination.NONE), rule(Destination.ALIPAY_PLUS, name="s"))
    found = identify(LEGACY_17, table, ALIPAY_PLUS_ONLY)
    assert (found.route, found.rule) == (None, None)
    assert found.reason == (
        "Rule r of the table refuses it. Ask the customer for another way to pay."
    )


def test_a_refusal_may_need_something_too():
    refusal = rule(Destination.NONE, needs=(Destination.ALIPAY_CN,))
    table = table_of(refusal, rule(Destination.ALIPAY_PLUS, name="s"))
    assert identify(LEGACY_17, table, ALIPAY_PLUS_ONLY).rule == "s"
    assert identify(LEGACY_17, table, WITH_CN).rule is None


@pytest.mark.parametrize("is_last", [True, False])
def test_after_the_last_word_nothing_is_asked(is_last):
    table = table_of(
        rule(Destination.ALIPAY_HK, last_word=is_last), rule(Destination.ALIPAY_PLUS, name="s")
    )
    found = identify(LEGACY_17, table, ALIPAY_PLUS_ONLY)
    assert found.rule == (None if is_last else "s")
    assert identify(LEGACY_17, table, WITH_HK).rule == "r"


def test_a_rule_of_a_wallets_own_length_is_obeyed_whatever_the_settings():
    """The setting for reserved lengths is about the guide's rule for both, not about this one."""
    table = table_of(rule(Destination.ALIPAY_CN, r"^28\d{18}$"), default=Destination.ALIPAY_PLUS)
    assert identify(GUIDE_SAMPLE, table, WITH_CN).route == "cn"


@pytest.mark.parametrize("to", [to for to in Destination if to is not Destination.MPP])
def test_a_default_leads_where_a_rule_would(to):
    table = table_of(rule(to))
    by_default = table_of(default=to)
    for who in EVERYBODY:
        assert identify(LEGACY_17, by_default, who).route == identify(LEGACY_17, table, who).route


# --- Reasons


@pytest.mark.parametrize(
    ("text", "integrations", "reason"),
    [
        (ALIPAY_PLUS_19, ONLY_CN, "for Alipay+, which this acquirer is not connected to. Ask"),
        (LEGACY_17, NOTHING, "not connected to a wallet that takes this code. Ask"),
        ("28" + "1" * 23, ALIPAY_PLUS_ONLY, "Codes of 25 digits are kept for later use"),
        ("4006381333932", ALIPAY_PLUS_ONLY, "this one has 13."),
        ("4111111111111111", ALIPAY_PLUS_ONLY, "starts with 25 to 30; this one starts with 41"),
        ("", ALIPAY_PLUS_ONLY, "The code is empty."),
    ],
)
def test_a_code_without_a_route_says_why(text, integrations, reason):
    found = identify(text, GUIDE, integrations)
    assert found.route is None
    assert reason in found.reason


def test_what_is_no_payment_code_is_hidden_whole():
    found = identify("4111111111111111", GUIDE, Integrations())
    assert (found.kind, found.rule, found.issuer, found.other) == (None, None, None, None)
    assert found.masked == "*" * 16


@pytest.mark.parametrize("number", ["004", "005", "006", "010", "011", "012", "014"])
def test_the_issuers_name_is_for_people_and_changes_no_route(number):
    named = identify(f"281{number}02" + "1" * 16, GUIDE, Integrations())
    assert named.issuer == GUIDE.issuers[number]
    nameless = dataclasses.replace(GUIDE, issuers={})
    found = identify(f"281{number}02" + "1" * 16, nameless, Integrations())
    assert dataclasses.replace(named, issuer=None) == found


# --- Over the whole code space

CODES = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from(["25", "26", "27", "28", "29", "30"]),
    st.text("0123456789", min_size=14, max_size=22),
)
INTEGRATIONS = st.builds(
    Integrations,
    alipay_plus=st.booleans(),
    direct=st.dictionaries(
        st.sampled_from(["alipay_cn", "alipay_hk", "006", "003", "010"]), st.just("connector")
    ),
    cn_hk_first=st.sampled_from(CnHkFirst),
    reserved_codes=st.sampled_from(ReservedCodes),
    mpp_codes=st.sampled_from(MppCodes),
)
TABLES = st.sampled_from([GUIDE, LATER])
EVERY_ACQUIRER = [
    Integrations(
        alipay_plus=alipay_plus,
        direct=cn | hk | wallets,
        cn_hk_first=first,
        reserved_codes=reserved,
        mpp_codes=mpp,
    )
    for alipay_plus, cn, hk, wallets, first, reserved, mpp in itertools.product(
        (True, False), (CN, {}), (HK, {}), (WALLETS, {}), CnHkFirst, ReservedCodes, MppCodes
    )
]


@given(
    st.one_of(
        st.text("0123456789", max_size=40),
        st.text("0123456789٢２² \n", max_size=40),
        st.text(max_size=40),
        CODES,
        CODES.map(lambda code: code + "\n"),
    ),
    TABLES,
    INTEGRATIONS,
)
def test_any_text_has_exactly_one_answer(text, table, integrations):
    found = identify(text, table, integrations)
    assert found == identify(text, table, integrations)
    assert found.length == len(text)
    assert (found.route is None) is (found.rule is None)
    assert found.reason
    if found.kind is None:
        assert found.route is None
        assert found.routing_number is None
    else:
        assert found.other is None
    if len(text) >= 16:
        assert text not in repr(found)
        assert text not in str(found)
        assert text not in f"{found}"
    assert sum(sign.isdigit() for sign in found.masked) <= 8


def decisions(table, integrations):
    """One decision for everything there is: every length and set of rules, every number."""
    for length, claims in CodeSpace(table.automaton).claims():
        for number in ("006", "999") if length >= 20 else (None,):
            yield length, claims, decided(claims, Shape(length, number), table, integrations)


@pytest.mark.parametrize("table", [GUIDE, LATER], ids=["guide", "2023-08"])
def test_with_alipay_plus_every_recognised_code_has_a_destination(table):
    """Every code of 16 to 24 digits that starts with 25 to 30, every acquirer."""
    for integrations in EVERY_ACQUIRER:
        for length, _, decision in decisions(table, integrations):
            if integrations.alipay_plus and length <= 24:
                assert decision.route is not None
            assert length <= 24 or decision.route is None


@given(CODES, TABLES, INTEGRATIONS)
def test_with_alipay_plus_any_recognised_code_has_a_destination(digits, table, integrations):
    connected = dataclasses.replace(integrations, alipay_plus=True)
    assert identify(digits, table, connected).route is not None


@pytest.mark.parametrize("table", [GUIDE, LATER], ids=["guide", "2023-08"])
def test_a_rule_1_code_goes_to_alipay_plus_or_nowhere(table):
    """Every code that rule 1 matches, every acquirer."""
    for integrations in EVERY_ACQUIRER:
        for _, claims, decision in decisions(table, integrations):
            if 0 in claims:
                assert decision.route == ("alipay_plus" if integrations.alipay_plus else None)
                assert decision.by == "1"


@pytest.mark.parametrize("table", [GUIDE, LATER], ids=["guide", "2023-08"])
def test_a_cn_or_hk_code_without_a_direct_link_goes_to_alipay_plus(table):
    for integrations in EVERY_ACQUIRER:
        if integrations.direct.keys() & {"alipay_cn", "alipay_hk"}:
            continue
        for length, claims, decision in decisions(table, integrations):
            if length <= 19 and 0 not in claims:
                assert decision.route == ("alipay_plus" if integrations.alipay_plus else None)


def test_a_code_is_never_taken_for_another_wallets():
    """Over every payment code there is, for all of them together."""
    for row in GUIDE.others.rows:
        if row.automaton is not None:
            assert all(claims == () for _, claims in CodeSpace(row.automaton).claims())
