import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.codes import CodeKind
from tillgate.core.routing import GUIDE, Identified, Integrations, Leads, Rule, identify

ALIPAY_PLUS_ONLY = Integrations()
WITH_CN = Integrations(direct_cn_hk=("alipay_cn",))
WITH_HK_THEN_CN = Integrations(direct_cn_hk=("alipay_hk", "alipay_cn"))
WITH_WALLETS = Integrations(direct_mpps={"006": "kakaopay", "010": "gcash", "003": "mpp_3"})
WITH_ALL = Integrations(direct_cn_hk=("alipay_cn",), direct_mpps={"006": "kakaopay"})
CN_WITHOUT_ALIPAY_PLUS = Integrations(alipay_plus=False, direct_cn_hk=("alipay_cn",))
WALLETS_WITHOUT_ALIPAY_PLUS = Integrations(alipay_plus=False, direct_mpps={"010": "gcash"})
NOTHING = Integrations(alipay_plus=False)

ALIPAY_PLUS_19 = "2893612204263667830"
GCASH_24 = "281010897274821897274821"
ISSUER_001 = "251001020123456789012345"
LEGACY_17 = "28024456785672301"
LEGACY_18 = "280244567856723026"
GUIDE_SAMPLE = "28100602000000000012"
SIXTEEN = "2512345678901234"
GUIDE_003 = "281003020123456789012345"

# code, what the acquirer has, route, rule. Codes: codes-and-flows section 1.5.
ROUTES = [
    (ALIPAY_PLUS_19, ALIPAY_PLUS_ONLY, "alipay_plus", "1"),
    (ALIPAY_PLUS_19, WITH_CN, "alipay_plus", "1"),
    (ALIPAY_PLUS_19, CN_WITHOUT_ALIPAY_PLUS, None, None),
    (ALIPAY_PLUS_19, NOTHING, None, None),
    (GCASH_24, ALIPAY_PLUS_ONLY, "alipay_plus", "4"),
    (GCASH_24, WITH_CN, "alipay_plus", "4"),
    (GCASH_24, WITH_WALLETS, "direct:gcash", "3"),
    (GCASH_24, WITH_ALL, "alipay_plus", "4"),
    (GCASH_24, WALLETS_WITHOUT_ALIPAY_PLUS, "direct:gcash", "3"),
    (GCASH_24, CN_WITHOUT_ALIPAY_PLUS, None, None),
    (ISSUER_001, ALIPAY_PLUS_ONLY, "alipay_plus", "4"),
    (ISSUER_001, WALLETS_WITHOUT_ALIPAY_PLUS, None, None),
    (GUIDE_003, WITH_WALLETS, "direct:mpp_3", "3"),
    (LEGACY_17, ALIPAY_PLUS_ONLY, "alipay_plus", "default"),
    (LEGACY_17, WITH_CN, "direct:alipay_cn", "2"),
    (LEGACY_17, NOTHING, None, None),
    (LEGACY_18, WITH_HK_THEN_CN, "direct:alipay_hk", "2"),
    (LEGACY_18, CN_WITHOUT_ALIPAY_PLUS, "direct:alipay_cn", "2"),
    (GUIDE_SAMPLE, ALIPAY_PLUS_ONLY, "alipay_plus", "default"),
    (GUIDE_SAMPLE, WITH_CN, "direct:alipay_cn", "2"),
    # Digits 4 to 6 of a code that is no CGCP code lead nowhere (rule 3 is about 24 digits).
    (GUIDE_SAMPLE, WITH_WALLETS, "alipay_plus", "default"),
    ("28100302012345678", WITH_WALLETS, "alipay_plus", "default"),
    (SIXTEEN, ALIPAY_PLUS_ONLY, "alipay_plus", "default"),
    (SIXTEEN, WITH_CN, "alipay_plus", "default"),
    (SIXTEEN, CN_WITHOUT_ALIPAY_PLUS, None, None),
    ("28" + "1" * 21, ALIPAY_PLUS_ONLY, "alipay_plus", "default"),
    # Reserved lengths above 24 are carried, and claimed by no rule.
    ("28" + "1" * 23, ALIPAY_PLUS_ONLY, None, None),
    ("281006" + "1" * 26, WITH_ALL, None, None),
]


@pytest.mark.parametrize(("text", "integrations", "route", "rule"), ROUTES)
def test_the_guides_table_routes(text, integrations, route, rule):
    found = identify(text, GUIDE, integrations)
    assert (found.route, found.rule) == (route, rule)
    assert found.reason.endswith(".")
    assert found.table == "guide"


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
    )


# Codes-and-flows section 1.5, "checked by running them": which of the four expressions match.
MATCHES = [
    (ALIPAY_PLUS_19, "12 ", None),
    (GCASH_24, "34", "010"),
    (ISSUER_001, "34", "001"),
    (LEGACY_17, "2", None),
    (LEGACY_18, "2", None),
    (GUIDE_SAMPLE, "23", "006"),
    (SIXTEEN, "", None),
]


@pytest.mark.parametrize(("text", "rules", "number"), MATCHES)
def test_the_expressions_match_what_the_guides_match(text, rules, number):
    matching = {rule.id for rule in GUIDE.rules if rule.pattern.match(text)}
    # Rule 3 reads any routing number; whose it is, is asked afterwards.
    assert matching - {"3"} == set(rules.strip()) - {"3"}
    if number is not None:
        assert GUIDE.rules[2].pattern.match(text).group(1) == number


GUIDE_EXPRESSIONS = {
    "1": r"(2[5-9]|30)9\d{10}6\d{5}",
    "2": r"(2[5-9]|30)\d{15,21}",
    "4": r"(2[5-9]|30)\d{22}",
}


@given(
    st.one_of(
        st.text("0123456789", max_size=40),
        st.from_regex(r"(2[5-9]|30)9[0-9]{10}6[0-9]{5}", fullmatch=True),
        st.from_regex(r"(2[5-9]|30)[0-9]{14,22}", fullmatch=True),
    )
)
def test_on_ascii_digits_the_expressions_are_the_guides_own(digits):
    for rule in GUIDE.rules:
        if rule.id in GUIDE_EXPRESSIONS:
            expected = re.fullmatch(GUIDE_EXPRESSIONS[rule.id], digits, re.ASCII)
            assert bool(rule.pattern.match(digits)) is bool(expected)


INTEGRATIONS = st.builds(
    Integrations,
    alipay_plus=st.booleans(),
    direct_cn_hk=st.sampled_from([(), ("alipay_cn",), ("alipay_hk",), ("alipay_hk", "alipay_cn")]),
    direct_mpps=st.sampled_from([{}, {"006": "kakaopay"}, {"003": "mpp_3", "010": "gcash"}]),
)
CODES = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from(["25", "26", "27", "28", "29", "30"]),
    st.text("0123456789", min_size=14, max_size=22),
)


@given(
    st.one_of(
        st.text("0123456789", max_size=40),
        st.text("0123456789٢２² \n", max_size=40),
        st.text(max_size=40),
        CODES,
        CODES.map(lambda code: code + "\n"),
    ),
    INTEGRATIONS,
)
def test_any_text_has_exactly_one_answer(text, integrations):
    found = identify(text, GUIDE, integrations)
    assert found == identify(text, GUIDE, integrations)
    assert found.length == len(text)
    assert (found.route is None) is (found.rule is None)
    assert found.reason
    if found.kind is None:
        assert found.route is None
        assert found.routing_number is None
    if len(text) >= 16:
        assert text not in repr(found)
        assert text not in str(found)
        assert text not in f"{found}"
    assert sum(sign.isdigit() for sign in found.masked) <= 8


@given(CODES, INTEGRATIONS)
def test_with_alipay_plus_every_recognised_code_has_a_destination(digits, integrations):
    connected = dataclasses.replace(integrations, alipay_plus=True)
    assert identify(digits, GUIDE, connected).route is not None


@given(st.from_regex(r"(2[5-9]|30)9[0-9]{10}6[0-9]{5}", fullmatch=True), INTEGRATIONS)
def test_an_alipay_plus_19_digit_code_goes_to_alipay_plus_or_nowhere(digits, integrations):
    found = identify(digits, GUIDE, integrations)
    assert found.kind is CodeKind.ALIPAY_PLUS_19
    assert found.route == ("alipay_plus" if integrations.alipay_plus else None)


def test_what_is_no_payment_code_says_so_and_is_hidden():
    found = identify("4901234567894", GUIDE, Integrations())
    assert (found.kind, found.route, found.rule, found.issuer) == (None, None, None, None)
    assert found.length == 13
    assert found.masked == "*" * 13
    assert "this one has 13" in found.reason


def test_a_card_number_that_was_scanned_by_mistake_is_hidden_whole():
    found = identify("4111111111111111", GUIDE, Integrations())
    assert found.route is None
    assert found.masked == "*" * 16


@pytest.mark.parametrize(
    ("text", "integrations", "reason"),
    [
        (ALIPAY_PLUS_19, CN_WITHOUT_ALIPAY_PLUS, "not connected to"),
        (LEGACY_17, NOTHING, "not connected to a wallet that takes this code"),
        ("28" + "1" * 23, ALIPAY_PLUS_ONLY, "Codes of 25 digits are kept for later use"),
    ],
)
def test_a_code_without_a_route_says_why(text, integrations, reason):
    assert reason in identify(text, GUIDE, integrations).reason


def test_a_table_of_the_acquirers_own_replaces_the_guides():
    table = dataclasses.replace(
        GUIDE,
        version="contract-7",
        rules=(Rule("newer", re.compile(r"289[0-9]{10}6[0-9]{5}\Z"), Leads.ALIPAY_PLUS, True),),
        default=None,
        issuers={},
    )
    assert identify(ALIPAY_PLUS_19, table, Integrations()).rule == "newer"
    lost = identify(LEGACY_17, table, Integrations())
    assert (lost.route, lost.rule, lost.table) == (None, None, "contract-7")
    assert identify(GCASH_24, table, Integrations()).issuer is None


def test_a_default_that_leads_to_what_the_acquirer_lacks_is_no_route():
    table = dataclasses.replace(GUIDE, rules=(), default=Leads.DIRECT_CN_HK)
    assert identify(LEGACY_17, table, Integrations()).route is None
    assert identify(LEGACY_17, table, WITH_CN).route == "direct:alipay_cn"


@pytest.mark.parametrize("number", ["004", "005", "006", "010", "011", "012", "014"])
def test_the_issuers_name_is_for_people_and_changes_no_route(number):
    named = identify(f"281{number}02" + "1" * 16, GUIDE, Integrations())
    assert named.issuer == GUIDE.issuers[number]
    assert (named.route, named.rule) == ("alipay_plus", "4")
