"""Finite automata over the ten digits: the form in which routing tables are asked and proved.

Reading a code is one look-up for each digit, whatever the expressions were, so the time is the
code's length and nothing else; there is nothing to backtrack. And because an automaton is finite,
what it takes can be proved over every code there is, not over samples.

Must never hold: what a rule is, or where a code goes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tillgate.core.codes import DIGITS_CARRIED_MAX

STATES_MAX = 4000
"""More states than this are refused. The guide's four rules need 46, with a rule for each of a
hundred wallets 3,400; the limit keeps a reload below a second."""

_DEAD = 0
_START = 1
_VALUES = bytes(sign - 48 if 48 <= sign <= 57 else 0 for sign in range(256))

State = TypeVar("State", bound=Hashable)


class TooComplex(ValueError):
    """It would take more than `STATES_MAX` states."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """States and where each digit leads. State 0 is the dead end, state 1 the start.

    Attributes:
        moves: `moves[10 * state + digit]` is ten times the next state.
        accepts: for each state, which of the expressions that were put together end there.
    """

    moves: tuple[int, ...]
    accepts: tuple[tuple[int, ...], ...]

    def matching(self, digits: str) -> tuple[int, ...]:
        """Which expressions take the whole text, in order. `digits` holds 0 to 9 only."""
        moves = self.moves
        state = 10 * _START
        for value in digits.encode().translate(_VALUES):
            state = moves[state + value]
        return self.accepts[state // 10]

    def step(self, state: int, digit: int) -> int:
        """The next state."""
        return self.moves[10 * state + digit] // 10

    def after(self, digits: str) -> int:
        """The state that is reached; 0 when nothing that begins so is taken."""
        state = _START
        for value in digits.encode().translate(_VALUES):
            state = self.step(state, value)
        return state

    def stops_at(self, digits: str) -> int | None:
        """The first digit, counted from 1, after which nothing can match any more."""
        for count in range(1, len(digits) + 1):
            if self.after(digits[:count]) == _DEAD:
                return count
        return None

    def lengths(self) -> tuple[int, ...]:
        """The lengths up to 32 of what any of the expressions takes."""
        found, states = [], {_START}
        for length in range(DIGITS_CARRIED_MAX + 1):
            if any(self.accepts[state] for state in states):
                found.append(length)
            states = {self.step(state, digit) for state in states for digit in range(10)} - {_DEAD}
        return tuple(found)


def build(
    start: State,
    move: Callable[[State, int], State | None],
    accepted: Callable[[State], tuple[int, ...]],
) -> Automaton:
    """Explore everything that codes of up to 32 digits reach.

    Args:
        start: the state before any digit.
        move: the next state of a state and a digit, None for a dead end.
        accepted: which expressions end in a state.

    Raises:
        TooComplex: more than `STATES_MAX` states.
    """
    numbers = {start: _START}
    known, moves = [start], [0] * 10
    accepts: list[tuple[int, ...]] = [(), accepted(start)]
    layer_ends, depth = 1, 0
    for at, state in enumerate(known):
        if at == layer_ends:
            layer_ends, depth = len(known), depth + 1
        for digit in range(10):
            following = move(state, digit) if depth < DIGITS_CARRIED_MAX else None
            if following is None:
                moves.append(_DEAD)
                continue
            if following not in numbers:
                numbers[following] = len(known) + 1
                known.append(following)
                accepts.append(accepted(following))
                if len(known) > STATES_MAX:
                    raise TooComplex(f"it needs more than {STATES_MAX} states")
            moves.append(10 * numbers[following])
    return Automaton(tuple(moves), tuple(accepts))


def together(automata: Sequence[Automaton]) -> Automaton:
    """One automaton that reads for all of them at once; number i stands for the i-th.

    Raises:
        TooComplex: more than `STATES_MAX` states.
    """

    def move(states: tuple[int, ...], digit: int) -> tuple[int, ...] | None:
        following = tuple(a.step(s, digit) for a, s in zip(automata, states, strict=True))
        return following if any(following) else None

    def accepted(states: tuple[int, ...]) -> tuple[int, ...]:
        pairs = enumerate(zip(automata, states, strict=True))
        return tuple(i for i, (automaton, state) in pairs if automaton.accepts[state])

    return build(tuple(_START for _ in automata), move, accepted)


def both(first: Automaton, second: Automaton) -> Automaton:
    """What the two of them take; as expression 0."""
    pair = together((first, second))
    accepts = tuple((0,) if found == (0, 1) else () for found in pair.accepts)
    return Automaton(pair.moves, accepts)
