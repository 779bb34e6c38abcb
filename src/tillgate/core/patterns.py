r"""Expressions over digits: a small part of regular expressions, read by a parser of our own.

Taken are digits, `\d`, classes (`[0-57-9]`), groups with alternatives (`(2[5-9]|30)`, `(?:...)`),
and the repetitions `?` `*` `+` `{m}` `{m,}` `{m,n}`, between `^` and `$`. Everything else is
refused by name. What is taken means the same in every regular-expression language, but for two
things that those get wrong for codes: `\d` is 0 to 9 here, never a digit of another script, and
`$` is the end, never the place before a last newline.

How it works: the expression becomes a set of places, one for each digit that it can stand at
(Glushkov's construction); the sets of places that a code may be at become the states of an
automaton. Each place is carried with the number of ways that lead to it. A matcher that backtracks
walks those ways one after the other, so their number is the measure of how badly it can run away:
an expression that leaves more than a few is refused, although this gateway would not feel it,
because tables are shared with tills and other programs that do backtrack.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tillgate.core.automaton import Automaton, TooComplex, build
from tillgate.core.codes import DIGITS_CARRIED_MAX

PATTERN_LENGTH_MAX = 200
GROUPS_DEEP_MAX = 10
PLACES_MAX = 1000
WAYS_MAX = 16
"""Ways in which the beginning of one code may be read. The guide's four expressions need 1; "a 6 at
the sixth place from the end" (`\\d*6\\d{5}`) needs 7; `(\\d+)+` doubles with each digit."""

_ALL = (1 << 10) - 1
_START = 0


class BadPattern(ValueError):
    """It is not an expression of this kind. The message says what and where, and what to write."""


@dataclass(frozen=True, slots=True)
class Digits:
    """One digit out of a set; bit n of `values` stands for n."""

    values: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`part` at least `low` times, at most `high` times; None stands for any number."""

    part: Node
    low: int
    high: int | None


Node = Digits | Sequence | Choice | Repeat


def compile_pattern(text: str) -> Automaton:
    """Read an expression and build what asks it; the automaton takes codes of up to 32 digits.

    Raises:
        BadPattern: not an expression of this kind, or one that a backtracking matcher could not
            be trusted with, or too large a one.
    """
    return _automaton(_Parser(text).whole())


# --- Reading


class _Parser:
    """A pattern, and how far it was read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._deep = 0

    def whole(self) -> Node:
        if len(self._text) > PATTERN_LENGTH_MAX:
            raise BadPattern(f"it has more than {PATTERN_LENGTH_MAX} characters")
        if not self._text.startswith("^") or not self._text.endswith("$"):
            raise BadPattern(
                "it must begin with ^ and end with $, so that it speaks of whole codes"
            )
        self._at = 1
        node = self._sequence()
        if self._peek() == "|":
            raise self._wrong("put the alternatives into a group: ^ and $ bind to one of them only")
        if self._peek() == ")":
            raise self._wrong("a ) without its (")
        if self._at != len(self._text) - 1:
            raise self._wrong("$ stands at the end only")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _wrong(self, what: str) -> BadPattern:
        return BadPattern(f"{what} (character {self._at + 1})")

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while (sign := self._peek()) and sign not in "|)$":
            part = self._one(sign)
            parts.append(self._repeated(part))
        if not parts:
            raise self._wrong("nothing stands here; what may be left out is written with ?")
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _one(self, sign: str) -> Node:
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign == "\\":
            return self._escape()
        if "0" <= sign <= "9":
            self._at += 1
            return Digits(1 << int(sign))
        if sign in "?*+{":
            raise self._wrong(f"{sign} repeats nothing")
        named = {
            ".": "a dot takes any character; write \\d",
            "^": "^ stands at the beginning only",
            "/": "leave the slashes around the expression out",
        }
        raise self._wrong(named.get(sign, f"{sign!r} is no digit, and a code has digits only"))

    def _group(self) -> Node:
        self._refuse_special_group()
        self._at += 3 if self._text.startswith("(?:", self._at) else 1
        self._deep += 1
        if self._deep > GROUPS_DEEP_MAX:
            raise self._wrong(f"groups stand more than {GROUPS_DEEP_MAX} deep")
        node = self._choice()
        if self._peek() != ")":
            raise self._wrong("a group is not closed")
        self._at += 1
        self._deep -= 1
        return node

    def _refuse_special_group(self) -> None:
        for opening, name in (
            ("(?=", "look-ahead"),
            ("(?!", "look-ahead"),
            ("(?<=", "look-behind"),
            ("(?<!", "look-behind"),
            ("(?P=", "a backreference"),
            ("(?P<", "a named group"),
            ("(?<", "a named group"),
            ("(?>", "an atomic group"),
            ("(?#", "a comment"),
            ("(?(", "a condition"),
        ):
            if self._text.startswith(opening, self._at):
                raise self._wrong(f"{name} is not taken")
        if self._text.startswith("(?", self._at) and not self._text.startswith("(?:", self._at):
            raise self._wrong("flags are not taken")

    def _escape(self) -> Digits:
        sign = self._text[self._at + 1 : self._at + 2]
        if sign == "d":
            self._at += 2
            return Digits(_ALL)
        if sign.isdecimal():
            raise self._wrong("a backreference is not taken")
        raise self._wrong(f"the escape \\{sign} is not taken; only \\d is")

    def _class(self) -> Digits:
        end = self._text.find("]", self._at)
        if end < 0:
            raise self._wrong("a class is not closed")
        inside = self._text[self._at + 1 : end]
        if inside.startswith("^"):
            raise self._wrong("a class of what is not meant is not taken; name the digits")
        values, at = 0, 0
        while at < len(inside):
            if inside[at : at + 2] == "\\d":
                values, at = _ALL, at + 2
                continue
            low = inside[at]
            high = inside[at + 2 : at + 3] if inside[at + 1 : at + 2] == "-" else low
            if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()):
                raise self._wrong("a class holds digits, ranges of digits and \\d")
            if low > high:
                raise self._wrong(f"the range {low}-{high} runs backwards")
            values |= sum(1 << digit for digit in range(int(low), int(high) + 1))
            at += 1 if high == low and inside[at + 1 : at + 2] != "-" else 3
        if not values:
            raise self._wrong("a class is empty")
        self._at = end + 1
        return Digits(values)

    def _repeated(self, part: Node) -> Node:
        sign = self._peek()
        if not sign or sign not in "?*+{":
            return part
        low, high = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(sign, (0, 0))
        if sign == "{":
            low, high = self._bounds()
        else:
            self._at += 1
        following = self._peek()
        if following and following in "?+":
            raise self._wrong("lazy and possessive repetitions are not taken")
        if following and following in "*{":
            raise self._wrong("a repetition of a repetition; put the inner one into a group")
        return Repeat(part, low, high)

    def _bounds(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : max(end, 0)].partition(",")
        if not _is_count(low) or (high and not _is_count(high)):
            raise self._wrong(f"write {{m}}, {{m,}} or {{m,n}} with numbers up to {_COUNT_MAX}")
        bounds = int(low), (int(high) if high else None) if comma else int(low)
        if bounds[1] == 0:
            raise self._wrong("{0} takes nothing")
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self._wrong("the larger number comes second")
        self._at = end + 1
        return bounds


_COUNT_MAX = DIGITS_CARRIED_MAX


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2 and int(text) <= _COUNT_MAX


# --- Places and ways


@dataclass(frozen=True, slots=True)
class _Fragment:
    """A part of an expression: the places it may begin and end at, and in how many ways, and the
    ways in which it takes nothing at all.
    """

    first: Counter[int]
    last: Counter[int]
    empty: int


@dataclass(slots=True)
class _Places:
    """The places of an expression: which digits each takes, and which may follow it."""

    takes: list[int] = field(default_factory=lambda: [0])
    follow: list[Counter[int]] = field(default_factory=lambda: [Counter()])

    def fragment(self, node: Node) -> _Fragment:
        match node:
            case Digits(values):
                return self._place(values)
            case Sequence(parts):
                whole = _Fragment(Counter(), Counter(), 1)
                for part in parts:
                    whole = self._one_after_the_other(whole, self.fragment(part))
                return whole
            case Choice(parts):
                found = [self.fragment(part) for part in parts]
                return _Fragment(
                    sum((f.first for f in found), Counter()),
                    sum((f.last for f in found), Counter()),
                    sum(f.empty for f in found),
                )
            case Repeat(part, low, high):
                return self._repeat(part, low, high)

    def _place(self, values: int) -> _Fragment:
        place = len(self.takes)
        if place > PLACES_MAX:
            raise BadPattern("it is too complex: write it shorter, or as several rules")
        self.takes.append(values)
        self.follow.append(Counter())
        return _Fragment(Counter({place: 1}), Counter({place: 1}), 0)

    def _one_after_the_other(self, left: _Fragment, right: _Fragment) -> _Fragment:
        self._lead(left.last, right.first)
        if left.empty * right.empty > WAYS_MAX:
            raise BadPattern(_RUNS_AWAY)
        return _Fragment(
            left.first + _times(right.first, left.empty),
            right.last + _times(left.last, right.empty),
            left.empty * right.empty,
        )

    def _lead(self, ends: Counter[int], beginnings: Counter[int]) -> None:
        for place, ways in ends.items():
            self.follow[place] += _times(beginnings, ways)

    def _repeat(self, part: Node, low: int, high: int | None) -> _Fragment:
        whole = _Fragment(Counter(), Counter(), 1)
        for _ in range(low if high is not None else max(low - 1, 0)):
            whole = self._one_after_the_other(whole, self.fragment(part))
        if high is not None:
            rest = whole if low == high else self._up_to(part, high - low)
            return rest if low in (0, high) else self._one_after_the_other(whole, rest)
        loop = self.fragment(part)
        if loop.empty:
            raise BadPattern(_RUNS_AWAY)
        self._lead(loop.last, loop.first)
        loop = _Fragment(loop.first, loop.last, 0 if low else 1)
        return self._one_after_the_other(whole, loop)

    def _up_to(self, part: Node, count: int) -> _Fragment:
        rest = _Fragment(Counter(), Counter(), 1)
        for _ in range(count):
            one = self._one_after_the_other(self.fragment(part), rest)
            rest = _Fragment(one.first, one.last, one.empty + 1)
        return rest


def _times(counts: Counter[int], ways: int) -> Counter[int]:
    return Counter({place: count * ways for place, count in counts.items() if ways})


_RUNS_AWAY = (
    f"catastrophic backtracking: a code can be read in more than {WAYS_MAX} ways, as happens with"
    " a repetition inside a repetition or two open ones side by side; say how many digits each"
    " part has"
)

_Ways = tuple[tuple[int, int], ...]


def _automaton(node: Node) -> Automaton:
    places = _Places()
    whole = places.fragment(node)
    places.follow[_START] = whole.first
    ends = set(whole.last) | ({_START} if whole.empty else set())

    def move(here: _Ways, digit: int) -> _Ways | None:
        following: Counter[int] = Counter()
        for place, ways in here:
            for next_place, more in places.follow[place].items():
                if places.takes[next_place] >> digit & 1:
                    following[next_place] += ways * more
        if following.total() > WAYS_MAX:
            raise BadPattern(_RUNS_AWAY)
        return tuple(sorted(following.items())) or None

    def accepted(here: _Ways) -> tuple[int, ...]:
        return (0,) if any(place in ends for place, _ in here) else ()

    start: _Ways = ((_START, 1),)
    try:
        return build(start, move, accepted)
    except TooComplex as error:
        raise BadPattern(f"it is too complex: {error}; write it as several rules") from None
