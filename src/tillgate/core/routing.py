"""Where a code belongs: an ordered table walked from the top, first match wins (the guide, step 1).

What a table says about a code depends on nothing but the code, what the acquirer is connected to,
and three settings for what the guide leaves open (ADR 0014).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from tillgate.core.codes import CodeKind, PaymentCode, mask, parse_code
from tillgate.core.errors import InvalidCode
from tillgate.core.other_codes import what_to_do
from tillgate.core.routing_table import (
    ALIPAY_CN,
    ALIPAY_HK,
    ALIPAY_PLUS,
    CnHkFirst,
    Destination,
    Integrations,
    MppCodes,
    ReservedCodes,
    RoutingTable,
    Rule,
)

DEFAULT_RULE = "default"


@dataclass(frozen=True, slots=True)
class Consult:
    """AlipayHK has to be asked whose code it is before a payment is opened. Connectors' names.

    Attributes:
        ask: whose `codeConsult` is called.
        alipay_cn, alipay_hk: where the code goes when the answer says so.
        another: where it goes when the answer names a third wallet; None for nowhere.
    """

    ask: str
    alipay_cn: str
    alipay_hk: str
    another: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What a scanned text is and where it goes. Holds no more of the code than its mask.

    Attributes:
        kind: what the digits say by the guide's expressions, whatever the table; None when it is
            not a payment code.
        issuer: the wallet behind the routing number, unofficial.
        other: the name of what it is, when it is no Alipay+ payment code but known.
        route: the connector's name, or None when nobody here takes it. With `consult`: where it
            goes when the question brings no answer.
        rule: id of the rule that led to the route, or `default`; None without a route.
        reason: one or two sentences for a cashier.
        consult: somebody has to be asked first; see `settled`.
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
    consult: Consult | None = None
    other: str | None = None


def identify(text: str, table: RoutingTable, integrations: Integrations) -> Identified:
    """Tell what was scanned and where it goes. Exactly one answer for any text; never raises."""
    try:
        code = parse_code(text)
    except InvalidCode as error:
        return _no_payment_code(text, str(error), table)
    found = decide(code, table, integrations)
    number = code.routing_number
    return Identified(
        kind=code.kind,
        length=len(text),
        routing_number=number,
        issuer=table.issuers.get(number) if number else None,
        route=found.route,
        rule=found.by if found.route else None,
        reason=found.reason,
        masked=code.masked,
        table=table.version,
        consult=found.consult,
    )


def settled(identified: Identified, answer: str | None) -> Identified:
    """The same after AlipayHK was asked; without a consult, unchanged.

    Args:
        identified: what `identify` said.
        answer: `pspSiteName` of AlipayHK's codeConsult (`ALIPAY_CN`, `ALIPAY_HK` or another
            wallet's name); None when there was no usable answer, which leaves the route as it is.

    Source: AlipayHK docs, codeConsult.
    """
    consult = identified.consult
    if consult is None or answer is None:
        return replace(identified, consult=None)
    by_answer = {"ALIPAY_CN": consult.alipay_cn, "ALIPAY_HK": consult.alipay_hk}
    route = by_answer.get(answer, consult.another)
    if route is None:
        reason = "AlipayHK says that another wallet issued this code. This acquirer has no"
        reason += " connection to it: ask the customer for another way to pay."
        return replace(identified, route=None, rule=None, reason=reason, consult=None)
    return replace(identified, route=route, consult=None)


def _no_payment_code(text: str, reason: str, table: RoutingTable) -> Identified:
    other = table.others.find(text)
    return Identified(
        kind=None,
        length=len(text),
        routing_number=None,
        issuer=None,
        route=None,
        rule=None,
        reason=reason if other is None else what_to_do(other),
        masked=mask(text),
        table=table.version,
        other=None if other is None else other.name,
    )


# --- The decision


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a payment code goes, and why.

    Attributes:
        by: the rule that decided, also when it leads nowhere; None when nothing takes the code.
    """

    route: str | None
    by: str | None
    reason: str
    consult: Consult | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a code that a decision reads besides the rules that match it.

    Attributes:
        length: its digits, 16 to 32.
        number: digits 4 to 6 of codes with 20 digits or more; None for shorter ones, whose digits
            there are the wallet's own.
    """

    length: int
    number: str | None

    @property
    def is_reserved(self) -> bool:
        """A recognised length that the standard keeps for later: 20 to 23 digits."""
        return 20 <= self.length <= 23


def decide(code: PaymentCode, table: RoutingTable, integrations: Integrations) -> Decision:
    """Where a payment code goes."""
    shape = Shape(len(code.digits), code.routing_number)
    return decided(table.automaton.matching(code.digits), shape, table, integrations)


def decided(
    claims: tuple[int, ...], shape: Shape, table: RoutingTable, integrations: Integrations
) -> Decision:
    """Where a code goes that these rules match (indices, in order)."""
    for at, index in enumerate(claims):
        rule = table.rules[index]
        route, consult, why = claim(rule, claims[at + 1 :], shape, table, integrations)
        if route is not None:
            reason = f"Rule {rule.id} of the table {table.version!r} claims it."
            return Decision(route, rule.id, reason, consult)
        if why == REFUSES:
            return Decision(None, rule.id, f"Rule {rule.id} of the table refuses it. {_ASK}")
        if rule.last_word:
            return Decision(None, rule.id, _lacking(rule))
    return _by_default(shape, table, integrations)


REFUSES = "refuses it"
_ASK = "Ask the customer for another way to pay."
_NAMES = {
    Destination.ALIPAY_PLUS: "Alipay+",
    Destination.ALIPAY_CN: "AlipayCN",
    Destination.ALIPAY_HK: "AlipayHK",
    Destination.CN_HK: "AlipayCN or AlipayHK directly",
    Destination.MPP: "its wallet directly",
}


def _lacking(rule: Rule) -> str:
    name = _NAMES.get(rule.to, "what takes it")
    return f"This code is for {name}, which this acquirer is not connected to. {_ASK}"


def _by_default(shape: Shape, table: RoutingTable, integrations: Integrations) -> Decision:
    if shape.length > 24:
        reason = f"Codes of {shape.length} digits are kept for later use by Alipay+; nobody takes"
        return Decision(None, None, f"{reason} them yet. {_ASK}")
    route, consult, _ = destination(table.default, shape, integrations)
    if route is not None:
        reason = f"No rule claims it; recognised codes go to {_NAMES[table.default]}."
        return Decision(route, DEFAULT_RULE, reason, consult)
    # Among the wallets only AlipayCN has codes of 16 digits (Code types and rules, newest edition).
    # The guide's expression 2 leaves them out, so they come here.
    cn = integrations.direct.get(ALIPAY_CN)
    if table.default is Destination.ALIPAY_PLUS and shape.length == 16 and cn is not None:
        reason = "No rule claims it; without Alipay+, a code of 16 digits goes to AlipayCN."
        return Decision(cn, DEFAULT_RULE, reason)
    reason = "This acquirer is not connected to a wallet that takes this code."
    return Decision(None, None, f"{reason} {_ASK}")


def missing(rule: Rule, shape: Shape, integrations: Integrations) -> tuple[Destination, ...]:
    """What a rule needs besides its destination and the acquirer is not connected to."""
    return tuple(need for need in rule.needs if destination(need, shape, integrations)[0] is None)


Place = tuple[str | None, Consult | None, str]
"""The connector's name (None for nowhere), whom to ask first, and why so, for `explain`."""


def claim(
    rule: Rule,
    later: tuple[int, ...],
    shape: Shape,
    table: RoutingTable,
    integrations: Integrations,
) -> Place:
    """Where a rule that matches would send the code; `later` are the matching ones after it."""
    if rule.needs and (lacks := missing(rule, shape, integrations)):
        return None, None, f"needs {', '.join(lacks)}, which is not connected"
    place = destination(rule.to, shape, integrations)
    if rule.to is Destination.CN_HK and place[0] is not None and shape.is_reserved:
        for better, why in _better_for_reserved(shape, integrations):
            # Only to somebody whom the table asks later.
            if table.default is better or any(table.rules[i].to is better for i in later):
                return None, None, why
    return place


def _better_for_reserved(
    shape: Shape, integrations: Integrations
) -> Iterator[tuple[Destination, str]]:
    """Who takes a code of 20 to 23 digits before AlipayCN or AlipayHK do (ADR 0014)."""
    has_wallet = integrations.direct.get(shape.number or "") is not None
    if has_wallet and integrations.mpp_codes is MppCodes.ANY_LENGTH:
        yield Destination.MPP, "leaves it to the wallet of its routing number (routing.mpp_codes)"
    if not integrations.alipay_plus:
        return
    prefers_cn = integrations.reserved_codes is ReservedCodes.ALIPAY_CN
    if not prefers_cn or ALIPAY_CN not in integrations.direct:
        yield Destination.ALIPAY_PLUS, "leaves 20 to 23 digits to Alipay+ (routing.reserved_codes)"


def destination(to: Destination, shape: Shape, integrations: Integrations) -> Place:
    """The connector behind a destination, for a code of this shape."""
    direct = integrations.direct
    match to:
        case Destination.ALIPAY_PLUS:
            name = ALIPAY_PLUS if integrations.alipay_plus else None
        case Destination.MPP:
            return _by_number(shape, integrations)
        case Destination.CN_HK:
            return _cn_or_hk(shape, integrations)
        case Destination.ALIPAY_CN | Destination.ALIPAY_HK:
            name = direct.get(to)
        case Destination.NONE:
            return None, None, REFUSES
        case _:
            assert_never(to)
    return name, None, "" if name else f"{to} is not connected"


def _by_number(shape: Shape, integrations: Integrations) -> Place:
    # The guide's open-ended expression also matches shorter codes, whose digits 4 to 6 are the
    # wallet's own up to 19 digits, and undefined up to 23 (ADR 0014).
    is_any = integrations.mpp_codes is MppCodes.ANY_LENGTH and shape.is_reserved
    if shape.length != 24 and not is_any:
        return None, None, "a routing number is read in codes of 24 digits (routing.mpp_codes)"
    name = integrations.direct.get(shape.number or "")
    return name, None, "" if name else "the wallet of its routing number is not connected directly"


def _cn_or_hk(shape: Shape, integrations: Integrations) -> Place:
    cn, hk = integrations.direct.get(ALIPAY_CN), integrations.direct.get(ALIPAY_HK)
    if cn is None or hk is None:
        name = cn or hk
        return name, None, "" if name else "neither AlipayCN nor AlipayHK is connected directly"
    # AlipayHK codes have 17 to 19 digits (Code types and rules): longer ones cannot be its own.
    if shape.length > 19:
        return cn, None, ""
    match integrations.cn_hk_first:
        case CnHkFirst.ALIPAY_CN:
            return cn, None, ""
        case CnHkFirst.ALIPAY_HK:
            return hk, None, ""
        case CnHkFirst.CONSULT:
            another = ALIPAY_PLUS if integrations.alipay_plus else None
            return cn, Consult(ask=hk, alipay_cn=cn, alipay_hk=hk, another=another), ""
        case _:
            assert_never(integrations.cn_hk_first)
