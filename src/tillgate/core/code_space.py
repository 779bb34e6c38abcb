"""All payment codes there are, in classes: every length from 16 to 32, prefix and routing number.

Within a class are all codes with that length, that prefix and those digits 4 to 6 (in codes shorter
than 20 digits they are no routing number, but expressions read them all the same). What an
automaton says about a class holds for each of its codes: nothing here is a sample.

Must never hold: what a rule means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tillgate.core.automaton import Automaton
from tillgate.core.codes import DIGITS_CARRIED_MAX, DIGITS_MIN

PREFIXES = ("25", "26", "27", "28", "29", "30")
LENGTHS = range(DIGITS_MIN, DIGITS_CARRIED_MAX + 1)
NUMBERS = range(1000)
_HEAD = 6
"""Prefix, agreement id and routing number."""

Claims = tuple[int, ...]
"""Which expressions take a code, in order."""


@dataclass(frozen=True, slots=True)
class CodeClass:
    """Codes of one length and prefix with any of these routing numbers.

    Attributes:
        claims: every set of expressions that takes some code of each of these numbers.
    """

    length: int
    prefix: str
    numbers: frozenset[int]
    claims: frozenset[Claims]


class CodeSpace:
    """What an automaton says about every payment code."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._following = [
            {automaton.step(state, digit) for digit in range(10)}
            for state in range(len(automaton.accepts))
        ]
        # _ahead[n][state]: the claims that n more digits can end in.
        self._ahead = [[frozenset({claims}) for claims in automaton.accepts]]
        for _ in range(DIGITS_CARRIED_MAX - 2):
            last = self._ahead[-1]
            self._ahead.append(
                [frozenset().union(*(last[s] for s in states)) for states in self._following]
            )

    def classes(self) -> Iterator[CodeClass]:
        """Every class once; routing numbers that no expression tells apart stand together."""
        for prefix in PREFIXES:
            for states, numbers in self._heads(prefix).items():
                for length in LENGTHS:
                    ahead = self._ahead[length - _HEAD]
                    claims = frozenset().union(*(ahead[state] for state in states))
                    yield CodeClass(length, prefix, frozenset(numbers), claims)

    def claims(self) -> frozenset[tuple[int, Claims]]:
        """Every length with every set of expressions that takes some payment code of it."""
        return frozenset(
            (length, claims)
            for prefix in PREFIXES
            for length in LENGTHS
            for claims in self._ahead[length - 2][self._automaton.after(prefix)]
        )

    def example(self, found: CodeClass, claims: Claims) -> str:
        """The first code of a class that just these expressions take. Made up, nobody's."""
        number = f"{min(found.numbers):03}"
        for third in "0123456789":
            digits = found.prefix + third + number
            if claims in self._ahead[found.length - _HEAD][self._automaton.after(digits)]:
                return self._completed(digits, found.length, claims)
        raise AssertionError("the class has no such code")

    def _completed(self, digits: str, length: int, claims: Claims) -> str:
        state = self._automaton.after(digits)
        for left in reversed(range(length - len(digits))):
            digit, state = next(
                (digit, following)
                for digit in range(10)
                if claims in self._ahead[left][following := self._automaton.step(state, digit)]
            )
            digits += str(digit)
        return digits

    def _heads(self, prefix: str) -> dict[frozenset[int], list[int]]:
        """Routing numbers by the states that they lead to, over all agreement ids."""
        found: defaultdict[frozenset[int], list[int]] = defaultdict(list)
        start = self._following[self._automaton.after(prefix)]
        for first in range(10):
            after_first = self._step_all(start, first)
            for second in range(10):
                after_second = self._step_all(after_first, second)
                for third in range(10):
                    states = frozenset(self._step_all(after_second, third))
                    found[states].append(100 * first + 10 * second + third)
        return found

    def _step_all(self, states: set[int], digit: int) -> set[int]:
        return {self._automaton.step(state, digit) for state in states}


# --- Saying it in few words


@dataclass(frozen=True, slots=True)
class Where:
    """A part of the code space in words: "17 to 23", "25 to 30", "006, 010" or "any"."""

    lengths: str
    prefixes: str
    numbers: str

    def __str__(self) -> str:
        number = "" if self.numbers == "any" else f", routing number {self.numbers}"
        prefix = "" if self.prefixes == "25 to 30" else f", prefix {self.prefixes}"
        return f"{self.lengths} digits{prefix}{number}"


def summary(classes: Iterable[CodeClass]) -> tuple[Where, ...]:
    """The same classes in as few words as they take."""
    cells: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for found in classes:
        cells[found.length, found.prefix] |= found.numbers
    by_length: defaultdict[int, defaultdict[frozenset[int], list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for (length, prefix), numbers in sorted(cells.items()):
        by_length[length][frozenset(numbers)].append(int(prefix))
    by_shape: defaultdict[tuple[tuple[int, ...], frozenset[int]], list[int]] = defaultdict(list)
    for length, shapes in by_length.items():
        for shape, prefixes in shapes.items():
            by_shape[tuple(prefixes), shape].append(length)
    return tuple(
        Where(
            ranges(lengths),
            ranges(prefixes),
            "any" if len(shape) == len(NUMBERS) else ranges(sorted(shape), digits=3),
        )
        for (prefixes, shape), lengths in by_shape.items()
    )


def ranges(numbers: Iterable[int], *, digits: int = 1) -> str:
    """Ascending numbers in words: "16, 20 to 23"."""
    parts: list[tuple[int, int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1] = parts[-1][0], number
        else:
            parts.append((number, number))
    return ", ".join(
        f"{low:0{digits}}" if low == high else f"{low:0{digits}} to {high:0{digits}}"
        for low, high in parts
    )
