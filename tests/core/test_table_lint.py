import pytest

from tillgate.core.routing import identify
from tillgate.core.routing_table import Destination, Integrations, MppCodes, RoutingTable, Rule
from tillgate.core.table_lint import What, changes, findings, never_deciding
from tillgate.tables import load_shipped

GUIDE = load_shipped("guide")
LATER = load_shipped("2023-08")
A = Destination.ALIPAY_PLUS


def rule(name, pattern, to=A, **more):
    return Rule(id=name, pattern=pattern, to=to, **more)


def table(*rules, default=A):
    return RoutingTable(version="t", rules=rules, default=default)


def told(finding):
    return (
        finding.what,
        finding.rules,
        [str(where) for where in finding.where],
        finding.is_all,
    )


@pytest.mark.parametrize("shipped", [GUIDE, LATER], ids=["guide", "2023-08"])
def test_in_a_shipped_table_nothing_is_wrong(shipped):
    assert not any(finding.matters for finding in findings(shipped))
    assert never_deciding(shipped) == []


def test_what_is_worth_knowing_about_the_guides_table():
    assert [told(finding) for finding in findings(GUIDE)] == [
        (What.DEFAULT, (), ["16 digits"], True),
        (What.CARRIED, (), ["25 to 32 digits"], True),
        (What.OVERLAP, ("1", "2"), ["19 digits"], False),
        (What.OVERLAP, ("3", "4"), ["24 digits"], True),
    ]


def test_with_routing_numbers_at_any_length_rule_3_speaks_of_20_to_24_digits():
    overlaps = [told(f) for f in findings(GUIDE, MppCodes.ANY_LENGTH) if f.what is What.OVERLAP]
    assert (What.OVERLAP, ("2", "3"), ["20 to 23 digits"], True) in overlaps


NEVER = [
    # rules, the one that never decides, why
    ([rule("wide", r"^28\d*$"), rule("narrow", r"^281006\d{18}$")], "narrow",
     "rule wide above takes every code that it matches; move it up"),
    ([rule("a", r"^28\d{14,18}$"), rule("b", r"^28\d{19,22}$"), rule("c", r"^28\d{15,20}$")], "c",
     "rule a and rule b above takes every code"),
    ([rule("short", r"^28\d{13}$")], "short", "no payment code matches it"),
    ([rule("other", r"^31\d{14}$")], "other", "no payment code matches it"),
    # A last word stops the rest even without its integration.
    ([rule("cn", r"^28\d*$", Destination.ALIPAY_CN, last_word=True), rule("rest", r"^28\d{16}$")],
     "rest", "rule cn above"),
    ([rule("no", r"^28\d*$", Destination.NONE), rule("rest", r"^28\d{16}$")], "rest", "rule no"),
    # Digits 4 to 6 of a code of 16 digits are no routing number for anybody.
    ([rule("mpp", r"^28\d{14}$", Destination.MPP)], "mpp", "mpp takes no code that it matches"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "name", "why"), NEVER, ids=lambda value: str(value)[:20])
def test_a_rule_that_can_never_decide_is_found(rules, name, why):
    found = never_deciding(table(*rules))
    assert [finding.rules for finding in found] == [(name,)]
    assert found[0].message.startswith(f"rule {name}: ")
    assert why in found[0].message
    assert found[0].matters


@pytest.mark.parametrize(
    "rules",
    [
        # The earlier one is silent where its integration is missing.
        [rule("cn", r"^28\d*$", Destination.ALIPAY_CN), rule("rest", r"^28\d{16}$")],
        [rule("narrow", r"^281006\d{18}$"), rule("wide", r"^28\d*$")],
        [rule("a", r"^28\d{16}$", needs=(Destination.ALIPAY_HK,)), rule("b", r"^28\d{16}$")],
        # Decides only where reserved lengths or short routing numbers are asked for.
        [rule("mpp", r"^28\d{18}$", Destination.MPP)],
        [rule("2", r"^28\d{18}$", Destination.CN_HK), rule("b", r"^28\d{18}$")],
    ],
)
def test_a_rule_that_decides_for_some_acquirer_is_not_found(rules):
    assert never_deciding(table(*rules)) == []


def test_codes_that_nobody_claims_are_told_with_their_lengths_prefixes_and_numbers():
    without = table(
        rule("a", r"^(2[5-9]|30)\d{14,21}$"),
        rule("b", r"^(2[5-9]|30)\d00[0-5]\d{18}$"),
        default=Destination.NONE,
    )
    gaps = [finding for finding in findings(without) if finding.what is What.GAP]
    assert [told(gap) for gap in gaps] == [
        (What.GAP, (), ["24 digits, routing number 006 to 999"], True)
    ]
    assert gaps[0].matters
    assert identify(gaps[0].example, without, Integrations()).route is None


def test_some_codes_that_nobody_claims_are_told_as_some():
    without = table(rule("a", r"^(2[5-9]|30)[0-8]\d{13,21}$"), default=Destination.NONE)
    gap = next(finding for finding in findings(without) if finding.what is What.GAP)
    assert told(gap) == (What.GAP, (), ["16 to 24 digits"], False)
    assert gap.example[2] == "9"


def test_codes_that_two_rules_claim_are_told_with_the_one_that_decides():
    both = table(rule("kakao", r"^281006\d{18}$", Destination.MPP), rule("all", r"^2\d{23}$"))
    overlap = next(finding for finding in findings(both) if finding.what is What.OVERLAP)
    assert told(overlap) == (
        What.OVERLAP,
        ("kakao", "all"),
        ["24 digits, prefix 28, routing number 006"],
        False,
    )
    assert "rule kakao decides where mpp is connected" in overlap.message
    assert overlap.example.startswith("281006")


def test_the_difference_between_the_shipped_tables_is_the_first_expression():
    changed = changes(GUIDE, LATER, Integrations())
    assert len(changed) == 1
    assert [str(where) for where in changed[0].where] == ["19 digits, prefix 25 to 27, 29 to 30"]
    assert not changed[0].is_all
    assert changed[0].before == "alipay_plus (rule 1), or nowhere"
    assert changed[0].after == "cn_hk (rule 2), alipay_plus (default)"
    # With Alipay+ alone both lead to Alipay+.
    assert not changed[0].is_here
    example = changed[0].example
    assert identify(example, GUIDE, Integrations()).route == "alipay_plus"
    assert changes(GUIDE, LATER, Integrations(direct={"alipay_cn": "cn"}))[0].is_here


def test_a_table_differs_from_itself_in_nothing():
    assert changes(GUIDE, GUIDE, Integrations()) == ()


def test_rules_that_are_only_renamed_or_split_change_nothing():
    split = table(rule("x", r"^(2[5-9]|30)\d{14,17}$"), rule("y", r"^(2[5-9]|30)\d{18,22}$"))
    whole = table(rule("z", r"^(2[5-9]|30)\d{14,22}$"))
    assert changes(split, whole, Integrations()) == ()


def test_a_change_for_one_wallet_is_told_by_its_number_and_whether_it_counts_here():
    to_nobody = table(
        rule("006", r"^(2[5-9]|30)\d006\d{18}$", Destination.NONE), rule("rest", r"^\d{16,24}$")
    )
    whole = table(rule("rest", r"^\d{16,24}$"))
    changed = changes(whole, to_nobody, Integrations())
    assert [(str(c.where[0]), c.after, c.is_here, c.is_all) for c in changed] == [
        ("24 digits, routing number 006", "none (rule 006)", True, True)
    ]
    assert not changes(whole, to_nobody, Integrations(alipay_plus=False))[0].is_here


def test_a_change_that_counts_only_for_a_wallet_connected_here_is_seen():
    direct = table(rule("mpp", r"^\d{24}$", Destination.MPP), rule("rest", r"^\d{16,24}$"))
    whole = table(rule("rest", r"^\d{16,24}$"))
    assert not changes(whole, direct, Integrations())[0].is_here
    assert changes(whole, direct, Integrations(direct={"006": "kakaopay"}))[0].is_here


def test_codes_that_no_table_claims_go_nowhere_in_both():
    none = table(rule("a", r"^28\d{14}$"), default=Destination.NONE)
    changed = changes(none, GUIDE, Integrations())
    assert {c.before for c in changed} <= {"none (default)", "alipay_plus (rule a), none (default)"}
    assert all("25" not in where.lengths for c in changed for where in c.where)


def test_longer_codes_may_be_claimed_and_are_compared_too():
    longer = table(*GUIDE.rules, rule("5", r"^28\d{30}$"))
    changed = changes(GUIDE, longer, Integrations())
    assert [(str(c.where[0]), c.before, c.after, c.is_here) for c in changed] == [
        ("32 digits, prefix 28", "none", "alipay_plus (rule 5)", True)
    ]
