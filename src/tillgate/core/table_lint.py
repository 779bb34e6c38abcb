"""What is wrong or worth knowing about a routing table, proved over every payment code there is.

A rule that can never decide is refused when a table is loaded; the rest is told by
`tillgate routes check`, with the difference between two tables.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tillgate.core.automaton import together
from tillgate.core.code_space import Claims, CodeClass, CodeSpace, Where, summary
from tillgate.core.codes import DIGITS_RECOGNISED_MAX
from tillgate.core.routing import DEFAULT_RULE, Decision, Shape, decided, destination
from tillgate.core.routing_table import (
    ALIPAY_CN,
    ALIPAY_HK,
    Destination,
    Integrations,
    MppCodes,
    ReservedCodes,
    RoutingTable,
)


class What(StrEnum):
    """The sorts of findings."""

    NEVER = "never"
    """A rule that decides about no code, whatever the acquirer is connected to."""
    GAP = "gap"
    """Recognised codes that no rule claims and no default takes: they have no route."""
    DEFAULT = "default"
    """Recognised codes that no rule claims; the default takes them."""
    CARRIED = "carried"
    """Codes of 25 to 32 digits that no rule claims: they have no route, as it should be."""
    OVERLAP = "overlap"
    """Codes that two rules claim; the earlier one decides where its destination is connected."""


MATTERS = frozenset({What.NEVER, What.GAP})
"""What makes `routes check` fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about a table.

    Attributes:
        rules: the rules that it is about.
        where: which codes; empty when it is about none.
        is_all: every code there, or some of them.
        example: one of those codes, made up.
    """

    what: What
    rules: tuple[str, ...]
    message: str
    where: tuple[Where, ...] = ()
    is_all: bool = True
    example: str | None = None

    @property
    def matters(self) -> bool:
        """Whether it should be mended."""
        return self.what in MATTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Codes that another table sends elsewhere.

    Attributes:
        before, after: the destinations in the order in which they are tried.
        is_here: it changes the route of an acquirer with the given integrations.
        where, is_all, example: as in `Finding`.
    """

    before: str
    after: str
    is_here: bool
    where: tuple[Where, ...]
    is_all: bool
    example: str


def never_deciding(table: RoutingTable) -> list[Finding]:
    """The rules that decide about no code, for any acquirer and any setting."""
    space = CodeSpace(table.automaton).claims()
    deciding: defaultdict[int, set[str | None]] = defaultdict(set)
    for length, claims in space:
        for decision in _by_everybody(claims, length, table):
            for index in claims:
                deciding[index].add(decision.by)
    findings = []
    for index, rule in enumerate(table.rules):
        if index not in deciding:
            message = "no payment code matches it (16 to 32 digits starting with 25 to 30)"
        elif rule.id in deciding[index]:
            continue
        elif earlier := [r.id for r in table.rules[:index] if r.id in deciding[index]]:
            message = f"it can never decide: rule {' and rule '.join(earlier)} above takes every"
            message += " code that it matches; move it up"
        else:
            message = f"it can never decide: {rule.to} takes no code that it matches"
        findings.append(
            Finding(what=What.NEVER, rules=(rule.id,), message=f"rule {rule.id}: {message}")
        )
    return findings


def findings(table: RoutingTable, mpp_codes: MppCodes = MppCodes.CGCP) -> list[Finding]:
    """Everything, what matters first; `mpp_codes` is the setting that is in force."""
    space = CodeSpace(table.automaton)
    heard: list[_Heard] = []
    for found in space.classes():
        by_claims: defaultdict[Claims, Claims] = defaultdict(tuple)
        for claims in sorted(found.claims):
            by_claims.setdefault(_heard(claims, found.length, table, mpp_codes), claims)
        heard.append(_Heard(found, dict(by_claims)))
    return [
        *never_deciding(table),
        *_unclaimed(table, space, heard),
        *_overlaps(table, space, heard),
    ]


def changes(
    before: RoutingTable, after: RoutingTable, integrations: Integrations
) -> tuple[Change, ...]:
    """What the second table sends elsewhere, for some acquirer or other."""
    rules = [rule.automaton for rule in (*before.rules, *after.rules)]
    space, count = CodeSpace(together(rules)), len(before.rules)
    compared = _Compared(before, after, integrations)
    groups: defaultdict[tuple[str, str, bool, bool], list[tuple[CodeClass, Claims]]]
    groups = defaultdict(list)
    for found in space.classes():
        changed: defaultdict[tuple[str, str, bool], list[Claims]] = defaultdict(list)
        for claims in sorted(found.claims):
            old = tuple(index for index in claims if index < count)
            new = tuple(index - count for index in claims if index >= count)
            if compared.differ(old, new, found.length):
                words = compared.words(old, new, found.length)
                changed[*words, compared.differ_here(old, new, found)].append(claims)
        for key, several in changed.items():
            groups[*key, len(several) == len(found.claims)].append((found, several[0]))
    return tuple(
        Change(
            before=old_words,
            after=new_words,
            is_here=is_here,
            where=summary(found for found, _ in pairs),
            is_all=is_all,
            example=space.example(*pairs[0]),
        )
        for (old_words, new_words, is_here, is_all), pairs in groups.items()
    )


# --- Who claims what


@dataclass(frozen=True, slots=True)
class _Heard:
    """A class, and for each set of rules that speak of some code of it, one set that matches.

    A rule that asks for a direct wallet matches codes that have no routing number; it does not
    speak of them.
    """

    found: CodeClass
    matching: dict[Claims, Claims]


def _heard(claims: Claims, length: int, table: RoutingTable, mpp_codes: MppCodes) -> Claims:
    shape = Shape(length, _NUMBER)
    everything = Integrations(direct={_NUMBER: _NUMBER}, mpp_codes=mpp_codes)
    return tuple(
        index
        for index in claims
        if (to := table.rules[index].to) is not Destination.MPP
        or destination(to, shape, everything)[0]
    )


def _unclaimed(table: RoutingTable, space: CodeSpace, heard: list[_Heard]) -> Iterator[Finding]:
    groups: defaultdict[tuple[What, bool], list[_Heard]] = defaultdict(list)
    for one in heard:
        if () in one.matching:
            what = What.DEFAULT if table.default is not Destination.NONE else What.GAP
            if one.found.length > DIGITS_RECOGNISED_MAX:
                what = What.CARRIED
            groups[what, len(one.matching) == 1].append(one)
    for (what, is_all), several in groups.items():
        message = {
            What.DEFAULT: f"no rule claims them; the default sends them to {table.default}",
            What.GAP: "no rule claims them and there is no default: they have no route",
        }.get(what, "no rule claims them, and the default is for 16 to 24 digits: no route")
        first = several[0]
        yield Finding(
            what=what,
            rules=(),
            message=message,
            where=summary(one.found for one in several),
            is_all=is_all,
            example=space.example(first.found, first.matching[()]),
        )


def _overlaps(table: RoutingTable, space: CodeSpace, heard: list[_Heard]) -> Iterator[Finding]:
    groups: defaultdict[tuple[int, int, bool], list[tuple[CodeClass, Claims]]] = defaultdict(list)
    for one in heard:
        pairs: defaultdict[tuple[int, int], list[Claims]] = defaultdict(list)
        for claims, matching in one.matching.items():
            for pair in itertools.combinations(claims, 2):
                pairs[pair].append(matching)
        for pair, several in pairs.items():
            groups[*pair, len(several) == len(one.matching)].append((one.found, several[0]))
    for (first, second, is_all), members in sorted(groups.items(), key=lambda item: item[0]):
        rule, other = table.rules[first], table.rules[second]
        last = ", or nobody: it is the last word" if rule.last_word else ""
        yield Finding(
            what=What.OVERLAP,
            rules=(rule.id, other.id),
            message=f"rules {rule.id} and {other.id} both match; rule {rule.id} decides where"
            f" {rule.to} is connected{last}",
            where=summary(found for found, _ in members),
            is_all=is_all,
            example=space.example(*members[0]),
        )


# --- Every acquirer there may be

_NUMBER = "000"
_EVERYBODY = tuple(
    Integrations(
        alipay_plus=alipay_plus,
        direct={
            wallet: wallet for wallet, is_direct in zip(wallets, direct, strict=True) if is_direct
        },
        reserved_codes=reserved_codes,
        mpp_codes=mpp_codes,
    )
    for wallets in [(ALIPAY_CN, ALIPAY_HK, _NUMBER)]
    for alipay_plus in (True, False)
    for direct in itertools.product((True, False), repeat=3)
    for reserved_codes in ReservedCodes
    for mpp_codes in MppCodes
)
"""Whatever can make a difference to a rule, for codes with the routing number 000. Who is asked
first of AlipayCN and AlipayHK makes none to which rule decides."""


def _by_everybody(claims: Claims, length: int, table: RoutingTable) -> Iterator[Decision]:
    shape = Shape(length, _NUMBER if length >= 20 else None)
    return (decided(claims, shape, table, integrations) for integrations in _EVERYBODY)


class _Compared:
    """Two tables, asked about the same codes."""

    def __init__(self, before: RoutingTable, after: RoutingTable, here: Integrations) -> None:
        self._before, self._after, self._here = before, after, here
        self._known: dict[tuple[Claims, Claims, int], bool] = {}

    def differ(self, old: Claims, new: Claims, length: int) -> bool:
        """Whether some acquirer's route changes."""
        key = (old, new, length)
        if key not in self._known:
            pairs = zip(
                _by_everybody(old, length, self._before),
                _by_everybody(new, length, self._after),
                strict=True,
            )
            self._known[key] = any(a.route != b.route for a, b in pairs)
        return self._known[key]

    def differ_here(self, old: Claims, new: Claims, found: CodeClass) -> bool:
        """Whether the route changes with the integrations that are given."""
        direct = {n for n in found.numbers if f"{n:03}" in self._here.direct}
        for number in {*direct, *sorted(found.numbers - direct)[:1]}:
            shape = Shape(found.length, f"{number:03}" if found.length >= 20 else None)
            was = decided(old, shape, self._before, self._here)
            if was.route != decided(new, shape, self._after, self._here).route:
                return True
        return False

    def words(self, old: Claims, new: Claims, length: int) -> tuple[str, str]:
        """Both lists of destinations, in the order in which they are tried."""
        return _words(old, length, self._before), _words(new, length, self._after)


def _words(claims: Claims, length: int, table: RoutingTable) -> str:
    tried: list[str] = []
    for index in claims:
        rule = table.rules[index]
        if rule.to is Destination.MPP and not 20 <= length <= 24:
            continue
        tried.append(f"{rule.to} (rule {rule.id})")
        if rule.to is Destination.NONE:
            return ", ".join(tried)
        if rule.last_word:
            return f"{', '.join(tried)}, or nowhere"
    if length <= DIGITS_RECOGNISED_MAX:
        tried.append(f"{table.default} ({DEFAULT_RULE})")
    return ", ".join(tried) or Destination.NONE
