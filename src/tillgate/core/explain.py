"""Why a code goes where it goes: its layout, and every rule that was tried.

For people: `tillgate identify` and `POST /v1/codes/identify`. It walks the rules one by one and is
not on the payment path. Shows the eight digits that the mask shows and, of the kinds that have a
layout, the two of the business type; never one of the issuer's own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tillgate.core.code_space import ranges
from tillgate.core.codes import PaymentCode, parse_code
from tillgate.core.routing import REFUSES, Identified, Shape, claim, identify
from tillgate.core.routing_table import Integrations, RoutingTable, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The parts that are defined, of a code with 20 digits or more; of shorter ones the prefix.

    Source: Alipay+ code format standard. Defined for 24 digits; 20 to 23 and 25 to 32 are reserved
        and read the same way, as the guide's own sample of 20 digits has it.

    Attributes:
        prefix: digits 1 and 2.
        agreement_id: digit 3.
        routing_number: digits 4 to 6, the issuer.
        business_type: digits 7 and 8; `02` is a payment code. Not checked: the sample on the public
            page has another.
    """

    prefix: str
    agreement_id: str | None = None
    routing_number: str | None = None
    business_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One rule and this code.

    Attributes:
        matches: the expression takes the code.
        leads_to: the connector that it would send the code to, alone; None for nowhere.
        decides: it is the rule that decided.
        why: in words. Names places of digits, never digits.
    """

    rule: str
    pattern: str
    to: str
    matches: bool
    leads_to: str | None
    decides: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a scanned text is, where it goes, and how that came about."""

    identified: Identified
    layout: Layout | None
    tried: tuple[Tried, ...]


def explain(text: str, table: RoutingTable, integrations: Integrations) -> Explained:
    """The same answer as `identify`, with its reasons. Never raises."""
    identified = identify(text, table, integrations)
    if identified.kind is None:
        return Explained(identified=identified, layout=None, tried=())
    code = parse_code(text)
    return Explained(
        identified=identified,
        layout=_layout(code),
        tried=tuple(_tried(code, table, integrations)),
    )


def fields_of(explained: Explained) -> dict[str, object]:
    """The same as plain fields, one level deep where it can be, to be shown or sent."""
    return dataclasses.asdict(explained.identified) | {
        "layout": explained.layout and dataclasses.asdict(explained.layout),
        "rules": [dataclasses.asdict(tried) for tried in explained.tried],
    }


def _layout(code: PaymentCode) -> Layout:
    digits = code.digits
    if code.routing_number is None:
        return Layout(prefix=digits[:2])
    return Layout(
        prefix=digits[:2],
        agreement_id=digits[2],
        routing_number=code.routing_number,
        business_type=digits[6:8],
    )


def _tried(code: PaymentCode, table: RoutingTable, integrations: Integrations) -> list[Tried]:
    claims = table.automaton.matching(code.digits)
    shape = Shape(len(code.digits), code.routing_number)
    tried: list[Tried] = []
    is_open = True
    for index, rule in enumerate(table.rules):
        leads_to = None
        decides = False
        if index not in claims:
            why = _why_not(rule, code)
        else:
            later = tuple(other for other in claims if other > index)
            leads_to, consult, lacks = claim(rule, later, shape, table, integrations)
            decides = is_open and _ends(rule, leads_to, lacks)
            why = _why(rule, lacks, is_first=is_open, asks=consult is not None)
            is_open = is_open and not decides
        tried.append(
            Tried(
                rule=rule.id,
                pattern=rule.pattern,
                to=rule.to.value,
                matches=index in claims,
                leads_to=leads_to,
                decides=decides,
                why=why,
            )
        )
    return tried


def _ends(rule: Rule, leads_to: str | None, lacks: str) -> bool:
    return leads_to is not None or rule.last_word or lacks == REFUSES


def _why(rule: Rule, lacks: str, *, is_first: bool, asks: bool) -> str:
    if not is_first:
        return "matches; an earlier rule has decided"
    if lacks:
        return f"matches; {lacks}" + ("; it is the last word" if rule.last_word else "")
    return "matches; AlipayHK is asked whose it is" if asks else "matches"


def _why_not(rule: Rule, code: PaymentCode) -> str:
    lengths = rule.automaton.lengths()
    if len(code.digits) not in lengths:
        return f"takes {ranges(lengths)} digits, this code has {len(code.digits)}"
    stops_at = rule.automaton.stops_at(code.digits)
    return f"digit {stops_at} does not fit" if stops_at else "its digits do not fit"
