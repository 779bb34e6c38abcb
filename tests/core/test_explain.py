import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.explain import Layout, explain, fields_of
from tillgate.core.routing import identify
from tillgate.core.routing_table import (
    CnHkFirst,
    Destination,
    Integrations,
    MppCodes,
    RoutingTable,
    Rule,
)
from tillgate.tables import load_shipped

GUIDE = load_shipped()
GUIDE_SAMPLE = "28100602000000000012"
CGCP = "281010897274821897274821"
CN = {"alipay_cn": "cn"}
BOTH = {"alipay_cn": "cn", "alipay_hk": "hk"}
KAKAO = {"006": "kakaopay"}


def whys(text, table=GUIDE, **integrations):
    tried = explain(text, table, Integrations(**integrations)).tried
    return [(one.rule, one.decides, one.why) for one in tried]


def test_every_rule_says_why_it_did_or_did_not_match():
    assert whys(GUIDE_SAMPLE) == [
        ("1", False, "takes 19 digits, this code has 20"),
        ("2", False, "matches; neither AlipayCN nor AlipayHK is connected directly"),
        ("3", False, "matches; a routing number is read in codes of 24 digits (routing.mpp_codes)"),
        ("4", False, "takes 24 digits, this code has 20"),
    ]
    assert whys(CGCP) == [
        ("1", False, "takes 19 digits, this code has 24"),
        ("2", False, "takes 17 to 23 digits, this code has 24"),
        ("3", False, "matches; the wallet of its routing number is not connected directly"),
        ("4", True, "matches"),
    ]


WHYS = [
    # code, integrations, rule, decides, why
    ("2893612204263567830", {}, "1", False, "digit 14 does not fit"),
    ("2883612204263667830", {}, "1", False, "digit 3 does not fit"),
    ("2893612204263667830", {}, "1", True, "matches"),
    ("2893612204263667830", {}, "2", False, "matches; an earlier rule has decided"),
    ("2893612204263667830", {"alipay_plus": False, "direct": CN}, "1", True,
     "matches; alipay_plus is not connected; it is the last word"),
    ("2893612204263667830", {"alipay_plus": False, "direct": CN}, "2", False,
     "matches; an earlier rule has decided"),
    ("28024456785672301", {"direct": CN}, "2", True, "matches"),
    ("28024456785672301", {"direct": BOTH, "cn_hk_first": CnHkFirst.CONSULT}, "2", True,
     "matches; AlipayHK is asked whose it is"),
    (GUIDE_SAMPLE, {"direct": CN}, "2", False,
     "matches; leaves 20 to 23 digits to Alipay+ (routing.reserved_codes)"),
    (GUIDE_SAMPLE, {"direct": CN | KAKAO, "mpp_codes": MppCodes.ANY_LENGTH}, "2", False,
     "matches; leaves it to the wallet of its routing number (routing.mpp_codes)"),
    (GUIDE_SAMPLE, {"direct": CN | KAKAO, "mpp_codes": MppCodes.ANY_LENGTH}, "3", True, "matches"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "integrations", "rule", "decides", "why"), WHYS)
def test_what_a_rule_says(text, integrations, rule, decides, why):
    assert (rule, decides, why) in whys(text, **integrations)


def test_what_rules_of_an_acquirers_own_say():
    def rule(name, pattern, to=Destination.ALIPAY_PLUS, **more):
        return Rule(id=name, pattern=pattern, to=to, **more)

    table = RoutingTable(
        version="own",
        default=Destination.NONE,
        rules=(
            rule("needy", r"^28\d*$", needs=(Destination.ALIPAY_CN, Destination.CN_HK)),
            rule("six", r"^\d*6\d{5}$"),
            rule("direct", r"^28\d*$", to=Destination.ALIPAY_HK),
            rule("refusal", r"^28\d{15}$", to=Destination.NONE),
            rule("after", r"^28\d{15}$"),
        ),
    )
    assert whys("28" + "1" * 15, table) == [
        ("needy", False, "matches; needs alipay_cn, cn_hk, which is not connected"),
        ("six", False, "its digits do not fit"),
        ("direct", False, "matches; alipay_hk is not connected"),
        ("refusal", True, "matches; refuses it"),
        ("after", False, "matches; an earlier rule has decided"),
    ]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        (CGCP, Layout(prefix="28", agreement_id="1", routing_number="010", business_type="89")),
        (GUIDE_SAMPLE,
         Layout(prefix="28", agreement_id="1", routing_number="006", business_type="02")),
        ("28024456785672301", Layout(prefix="28")),
        ("2893612204263667830", Layout(prefix="28")),
        ("134567890123456789", None),
    ],
)  # fmt: skip
def test_the_layout_is_that_of_the_standard(text, layout):
    assert explain(text, GUIDE, Integrations()).layout == layout


def test_what_is_no_payment_code_has_no_rules_to_try():
    assert explain("134567890123456789", GUIDE, Integrations()).tried == ()


INTEGRATIONS = st.builds(
    Integrations,
    alipay_plus=st.booleans(),
    direct=st.sampled_from([{}, CN, BOTH, KAKAO, BOTH | KAKAO]),
    mpp_codes=st.sampled_from(MppCodes),
    cn_hk_first=st.sampled_from(CnHkFirst),
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("0123456789", max_size=40),
    st.from_regex(r"(2[5-9]|30)[0-9]{14,30}", fullmatch=True),
)


@given(TEXTS, INTEGRATIONS)
def test_the_answer_is_that_of_identify_and_one_rule_decides_at_most(text, integrations):
    explained = explain(text, GUIDE, integrations)
    found = identify(text, GUIDE, integrations)
    assert explained.identified == found
    deciding = [tried for tried in explained.tried if tried.decides]
    assert len(deciding) <= 1
    if found.rule not in (None, "default"):
        assert [(tried.rule, tried.leads_to) for tried in deciding] == [(found.rule, found.route)]


@given(st.from_regex(r"(2[5-9]|30)[0-9]{14,30}", fullmatch=True), INTEGRATIONS)
def test_nothing_shows_more_than_the_mask_and_the_business_type(digits, integrations):
    told = json.dumps(fields_of(explain(digits, GUIDE, integrations)))
    hidden = digits[8:-2] if len(digits) >= 20 else digits[6:-2]
    assert digits not in told
    assert hidden not in told
    assert digits[:9] not in told
