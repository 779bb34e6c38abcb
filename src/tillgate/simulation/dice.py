"""The only randomness of a simulation: a world's every choice is drawn here, by name.

Index 0 of a table is what happens in a good world. So a world is a short list of the draws that
were not 0, and a violation is shrunk by setting draws to 0 while it still happens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")

Draws = dict[str, int]
"""The draws that were not 0: name and count, such as `pay.fate#2`, to what was drawn."""


class Table(Generic[T]):
    """Weighted choices; the first is the benign one."""

    __slots__ = ("bounds", "name", "total", "values")

    def __init__(self, name: str, *weighted: tuple[T, float]) -> None:
        self.name = name
        self.values: tuple[T, ...] = tuple(value for value, _ in weighted)
        self.bounds: Sequence[float] = tuple(accumulate(weight for _, weight in weighted))[:-1]
        self.total = sum(weight for _, weight in weighted)


class Dice:
    """Draws from a seeded generator, quickly, remembering nothing."""

    __slots__ = ("_draw",)

    def __init__(self, random: Random) -> None:
        self._draw = random.random

    def pick(self, table: Table[T]) -> T:
        """One of the table's values."""
        return table.values[bisect_right(table.bounds, self._draw() * table.total)]

    def chance(self, name: str, probability: float) -> bool:
        """Whether it happens."""
        return self._draw() < probability

    def up_to(self, name: str, most: int) -> int:
        """A whole number from 0 to `most`."""
        return int(self._draw() * (most + 1))


class RecordingDice(Dice):
    """Draws the same, and keeps what was drawn."""

    __slots__ = ("_counts", "draws")

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.draws: Draws = {}
        self._counts: dict[str, int] = {}

    def pick(self, table: Table[T]) -> T:
        """One of the table's values."""
        index = bisect_right(table.bounds, self._draw() * table.total)
        self._keep(table.name, index)
        return table.values[index]

    def chance(self, name: str, probability: float) -> bool:
        """Whether it happens."""
        happens = self._draw() < probability
        self._keep(name, int(happens))
        return happens

    def up_to(self, name: str, most: int) -> int:
        """A whole number from 0 to `most`."""
        number = int(self._draw() * (most + 1))
        self._keep(name, number)
        return number

    def _keep(self, name: str, number: int) -> None:
        count = self._counts[name] = self._counts.get(name, 0) + 1
        if number:
            self.draws[f"{name}#{count}"] = number


class ForcedDice(Dice):
    """Gives back what is listed, and 0 for the rest."""

    __slots__ = ("_counts", "_draws")

    def __init__(self, draws: Mapping[str, int]) -> None:
        self._draws = draws
        self._counts: dict[str, int] = {}

    def pick(self, table: Table[T]) -> T:
        """One of the table's values."""
        return table.values[min(self._next(table.name), len(table.values) - 1)]

    def chance(self, name: str, probability: float) -> bool:
        """Whether it happens."""
        return bool(self._next(name))

    def up_to(self, name: str, most: int) -> int:
        """A whole number from 0 to `most`."""
        return min(self._next(name), most)

    def _next(self, name: str) -> int:
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return self._draws.get(f"{name}#{count}", 0)
