"""What a routing table is made of, and what an acquirer tells of itself: values only.

The table is data, so that an acquirer can bring its own: the real routing numbers come under
contract and the public pages name none. All expressions of a table are put into one automaton, so
that a code is asked about all of them in one walk over its digits. Which rule wins, and where it
leads, is `routing.py`; reading tables from files, and refusing wrong ones with the line, is
`tillgate.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tillgate.core.automaton import Automaton, both, together
from tillgate.core.codes import EXPRESSIONS, CodeKind
from tillgate.core.other_codes import OtherCodes
from tillgate.core.patterns import compile_pattern

ALIPAY_PLUS = "alipay_plus"
ALIPAY_CN = "alipay_cn"
ALIPAY_HK = "alipay_hk"


class Destination(StrEnum):
    """Where a rule leads, in the words of a table."""

    ALIPAY_PLUS = "alipay_plus"
    """Alipay+, for whichever wallet."""
    ALIPAY_CN = "alipay_cn"
    """AlipayCN, connected directly."""
    ALIPAY_HK = "alipay_hk"
    """AlipayHK, connected directly."""
    CN_HK = "cn_hk"
    """AlipayCN or AlipayHK, whichever is connected directly; both: see `CnHkFirst`."""
    MPP = "mpp"
    """The directly connected wallet that the code's routing number names."""
    NONE = "none"
    """Nowhere: the rule refuses what it matches."""


class CnHkFirst(StrEnum):
    """Who is asked where AlipayCN and AlipayHK are both connected directly: the digits do not
    tell.
    """

    ALIPAY_CN = "alipay_cn"
    """AlipayCN."""
    ALIPAY_HK = "alipay_hk"
    """AlipayHK."""
    CONSULT = "consult"
    """AlipayHK is asked whose code it is (`codeConsult`), and its answer decides."""


class ReservedCodes(StrEnum):
    """Where codes of 20 to 23 digits go that expression 2 claims for AlipayCN or AlipayHK."""

    ALIPAY_PLUS = "alipay_plus"
    """To Alipay+ where it is integrated, which can decode every wallet's code."""
    ALIPAY_CN = "alipay_cn"
    """To AlipayCN where it is connected directly."""


class MppCodes(StrEnum):
    """In which codes digits 4 to 6 are taken for the number of a directly connected wallet."""

    CGCP = "cgcp"
    """In codes of 24 digits, for which the number is defined."""
    ANY_LENGTH = "any_length"
    """In codes of 20 to 24 digits; for 20 to 23 before the table sends them to AlipayCN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: a code that the expression takes goes to the destination, if the acquirer has it.

    Attributes:
        id: of this rule in its table; a payment remembers it.
        pattern: an expression over digits, see `patterns.py`.
        to: where it leads.
        kind: the rule speaks of codes of this kind only; None for any.
        needs: what the acquirer must be connected to besides the destination.
        last_word: a code that matches goes nowhere else, even when the acquirer lacks what the
            rule needs (an Alipay+ 19-digit code is never an AlipayCN code, although expression 2
            matches it too).

    Raises:
        BadPattern: the expression cannot be used.
    """

    id: str
    pattern: str
    to: Destination
    kind: CodeKind | None = None
    needs: tuple[Destination, ...] = ()
    last_word: bool = False
    automaton: Automaton = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = compile_pattern(self.pattern)
        if self.kind is not None:
            compiled = both(compiled, compile_pattern(EXPRESSIONS[self.kind]))
        object.__setattr__(self, "automaton", compiled)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """A named, ordered set of rules, and where recognised codes go that none of them claims.

    Attributes:
        version: payments remember it. The rules behind a version never change.
        title: for people.
        source: where the rules come from, for people.
        issuers: routing number to wallet name, for people; no route depends on it.
        others: what is no Alipay+ payment code, by name, for people.
        automaton: all rules at once; its expression i is rule i.

    Raises:
        TooComplex: the rules together need too many states.
    """

    version: str
    rules: tuple[Rule, ...]
    default: Destination
    title: str = ""
    source: str = ""
    issuers: Mapping[str, str] = field(default_factory=dict)
    others: OtherCodes = field(default_factory=OtherCodes)
    automaton: Automaton = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "automaton", together([rule.automaton for rule in self.rules]))

    def routes_as(self, other: RoutingTable) -> bool:
        """Whether both say the same about every code: same rules, same order, same default."""
        return self.rules == other.rules and self.default == other.default


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrations:
    """What the acquirer is connected to, and its choice where the guide leaves one.

    Attributes:
        alipay_plus: has Alipay+; its connector is `alipay_plus`.
        direct: a directly connected wallet to its connector's name. A wallet is `alipay_cn`,
            `alipay_hk` or, any other, its routing number.
    """

    alipay_plus: bool = True
    direct: Mapping[str, str] = field(default_factory=dict)
    cn_hk_first: CnHkFirst = CnHkFirst.ALIPAY_CN
    reserved_codes: ReservedCodes = ReservedCodes.ALIPAY_PLUS
    mpp_codes: MppCodes = MppCodes.CGCP
