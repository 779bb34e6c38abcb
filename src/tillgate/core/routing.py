"""Where a code belongs: an ordered table walked from the top, first match wins (the guide, step 1).

The table is data, so that an acquirer can bring its own: the real routing numbers come under
contract and the public pages name none. What a table says about a code never depends on anything
but the code and which integrations the acquirer has. No regular expression here has nested
repetition, so none can backtrack badly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from tillgate.core.codes import CodeKind, PaymentCode, mask, parse_code
from tillgate.core.errors import InvalidCode

ALIPAY_PLUS = "alipay_plus"
ALIPAY_CN = "alipay_cn"
ALIPAY_HK = "alipay_hk"


class Leads(StrEnum):
    """Where a rule leads, and so which integration it needs."""

    ALIPAY_PLUS = "alipay_plus"
    DIRECT_CN_HK = "direct_cn_hk"
    DIRECT_BY_ROUTING_NUMBER = "direct_by_routing_number"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when the acquirer has what the row leads to and the expression matches, the code
    goes there.

    Attributes:
        is_last_word: a code that matches goes nowhere else, even when the integration is missing
            (an Alipay+ 19-digit code is never an AlipayCN code, although expression 2 matches it
            too).
    """

    id: str
    pattern: re.Pattern[str]
    leads: Leads
    is_last_word: bool = False


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """A named, ordered set of rules, the default for recognised codes that none claims, and the
    issuers.

    Attributes:
        issuers: routing number to wallet name, for people to read. Unofficial; no route depends on
            it.
    """

    version: str
    rules: tuple[Rule, ...]
    default: Leads | None
    issuers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Integrations:
    """What the acquirer is connected to.

    Attributes:
        alipay_plus: has Alipay+.
        direct_cn_hk: of `alipay_cn` and `alipay_hk` those connected directly, the one asked first
            in front.
        direct_mpps: routing number to the name of a wallet that is connected directly.
    """

    alipay_plus: bool = True
    direct_cn_hk: tuple[str, ...] = ()
    direct_mpps: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identified:
    """What a scanned text is and where it goes. Holds no more of the code than its mask.

    Attributes:
        kind: None when it is not a payment code.
        route: `alipay_plus`, `direct:NAME`, or None when nobody here takes it.
        rule: id of the rule that fired, `default`, or None.
        reason: one sentence for a person.
    """

    kind: CodeKind | None
    length: int
    routing_number: str | None
    issuer: str | None
    route: str | None
    rule: str | None
    reason: str
    masked: str
    table: str


# The four expressions of the guide in the guide's order, digits written [0-9] (`\d` would take
# other scripts' digits) and the end written \Z (`$` also matches before a final newline). Rule 3 is
# an example with 003 in the guide; here it reads any routing number and asks whether that wallet is
# connected directly.
GUIDE = RoutingTable(
    version="guide",
    rules=(
        Rule("1", re.compile(r"(?:2[5-9]|30)9[0-9]{10}6[0-9]{5}\Z"), Leads.ALIPAY_PLUS, True),
        Rule("2", re.compile(r"(?:2[5-9]|30)[0-9]{15,21}\Z"), Leads.DIRECT_CN_HK),
        Rule(
            "3", re.compile(r"(?:2[5-9]|30)[0-9]([0-9]{3})[0-9]*\Z"), Leads.DIRECT_BY_ROUTING_NUMBER
        ),
        Rule("4", re.compile(r"(?:2[5-9]|30)[0-9]{22}\Z"), Leads.ALIPAY_PLUS),
    ),
    # The guide's own sample code (20 digits) matches rule 2 only, and 16 digits match nothing:
    # without a direct AlipayCN they would have no route although Alipay+ takes both wallets. Hence
    # the default.
    default=Leads.ALIPAY_PLUS,
    # Unofficial: pieced together from public codes (merchant QR addresses, POS programs), the
    # strongest evidence for 006. The official mapping comes from Alipay+ under contract.
    issuers={
        "004": "AlipayHK",
        "005": "Paytm",
        "006": "KakaoPay",
        "010": "GCash",
        "011": "Touch 'n Go eWallet",
        "012": "DANA",
        "014": "bKash",
    },
)


def identify(text: str, table: RoutingTable, integrations: Integrations) -> Identified:
    """Tell what was scanned and where it goes. Exactly one answer for any text; never raises."""
    try:
        code = parse_code(text)
    except InvalidCode as error:
        return Identified(
            kind=None,
            length=len(text),
            routing_number=None,
            issuer=None,
            route=None,
            rule=None,
            reason=str(error),
            masked=mask(text),
            table=table.version,
        )
    route, rule, reason = _route(code, table, integrations)
    number = code.routing_number
    return Identified(
        kind=code.kind,
        length=len(code.digits),
        routing_number=number,
        issuer=table.issuers.get(number) if number else None,
        route=route,
        rule=rule,
        reason=reason,
        masked=code.masked,
        table=table.version,
    )


def _route(
    code: PaymentCode, table: RoutingTable, integrations: Integrations
) -> tuple[str | None, str | None, str]:
    for rule in table.rules:
        if not rule.pattern.match(code.digits):
            continue
        destination = _destination(rule.leads, code, integrations)
        if destination is not None:
            return destination, rule.id, f"Rule {rule.id} of the table {table.version!r} claims it."
        if rule.is_last_word:
            reason = (
                f"Rule {rule.id} claims it for Alipay+, which this acquirer is not connected to."
            )
            return None, None, reason
    if not code.is_recognised:
        return (
            None,
            None,
            (
                f"Codes of {len(code.digits)} digits are kept for later use by Alipay+;"
                f" no rule of the table {table.version!r} claims one."
            ),
        )
    if table.default is not None:
        destination = _destination(table.default, code, integrations)
        if destination is not None:
            return destination, "default", "No rule claims it; recognised codes go to Alipay+."
    return None, None, "This acquirer is not connected to a wallet that takes this code."


def _destination(leads: Leads, code: PaymentCode, integrations: Integrations) -> str | None:
    match leads:
        case Leads.ALIPAY_PLUS:
            return ALIPAY_PLUS if integrations.alipay_plus else None
        case Leads.DIRECT_CN_HK:
            return f"direct:{integrations.direct_cn_hk[0]}" if integrations.direct_cn_hk else None
        case Leads.DIRECT_BY_ROUTING_NUMBER:
            # Rule 3 is about CGCP codes, which have 24 digits; the guide's open-ended expression
            # also matches legacy codes, whose digits 4 to 6 mean nothing (ADR 0003).
            if code.kind is not CodeKind.CGCP or code.routing_number is None:
                return None
            name = integrations.direct_mpps.get(code.routing_number)
            return f"direct:{name}" if name else None
        case _:
            assert_never(leads)
