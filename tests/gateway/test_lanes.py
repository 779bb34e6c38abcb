"""Places among the calls of one network: how many, who goes next, and that none is lost."""

from __future__ import annotations

import pytest

from tillgate.gateway.lanes import CALLS_MAX, INQUIRIES_MAX, Lane, Slot, Urgency
from tillgate.transport import CONNECTIONS_MAX

SALE, MONEY, QUESTION = Urgency


class Desk:
    """Whoever asks, with the places they got, in order."""

    def __init__(self, calls_max: int, inquiries_max: int) -> None:
        self.lane = Lane(calls_max, inquiries_max)
        self.names: list[str] = []
        self.slots: dict[str, Slot] = {}

    def ask(self, urgency: Urgency, *names: str) -> None:
        for name in names:
            self.lane.ask(urgency, lambda slot, name=name: self._start(name, slot))

    def _start(self, name: str, slot: Slot) -> bool:
        self.names.append(name)
        self.slots[name] = slot
        return True

    def end(self, *names: str) -> None:
        for name in names:
            self.slots[name].give_back()


def test_a_lost_connection_pool_is_never_waited_for():
    """A call that holds a place finds a connection: the pool is larger."""
    assert INQUIRIES_MAX < CALLS_MAX < CONNECTIONS_MAX


def test_no_more_calls_than_places_and_the_rest_in_order():
    desk = Desk(2, 2)
    desk.ask(QUESTION, "a", "b", "c", "d")
    assert (desk.names, desk.lane.in_flight, desk.lane.waiting) == (["a", "b"], 2, 2)
    desk.end("b")
    assert desk.names == ["a", "b", "c"]
    desk.end("a", "c")
    assert (desk.names, desk.lane.waiting) == (["a", "b", "c", "d"], 0)
    desk.end("d")
    assert desk.lane.in_flight == 0


def test_inquiries_never_hold_the_last_places():
    desk = Desk(3, 2)
    desk.ask(QUESTION, "q1", "q2", "q3")
    assert desk.names == ["q1", "q2"]
    desk.ask(MONEY, "cancel")
    assert desk.names == ["q1", "q2", "cancel"]
    desk.end("cancel")
    assert desk.names == ["q1", "q2", "cancel"]
    desk.end("q1")
    assert desk.names[-1] == "q3"


def test_a_new_sale_goes_before_money_and_money_before_questions():
    desk = Desk(1, 1)
    desk.ask(SALE, "running")
    desk.ask(QUESTION, "question")
    desk.ask(MONEY, "cancel")
    desk.ask(SALE, "sale")
    desk.end("running")
    desk.end("sale")
    assert desk.names == ["running", "sale", "cancel"]


def test_under_a_storm_of_sales_and_cancels_questions_and_cancels_still_move():
    desk = Desk(1, 1)
    desk.ask(SALE, *(f"sale{n}" for n in range(40)))
    desk.ask(QUESTION, "q1", "q2", "q3")
    desk.ask(MONEY, "m1")
    for number in range(16):
        desk.end(desk.names[number])
    started = desk.names[:17]
    assert {"q1", "q2", "q3", "m1"} <= set(started)
    assert sum(name.startswith("sale") for name in started) == 13


def test_a_place_that_is_refused_goes_to_the_next_at_once_however_many_refuse():
    desk = Desk(1, 1)
    desk.ask(SALE, "running")
    for _ in range(5000):
        desk.lane.ask(MONEY, lambda slot: False)
    desk.ask(MONEY, "last")
    desk.end("running")
    assert desk.names == ["running", "last"]
    desk.end("last")
    assert (desk.lane.in_flight, desk.lane.waiting) == (0, 0)


def test_a_place_is_given_back_once_and_a_passed_one_by_its_new_holder():
    desk = Desk(1, 1)
    desk.ask(QUESTION, "a")
    passed = desk.slots["a"].pass_on()
    desk.end("a")
    assert desk.lane.in_flight == 1
    passed.give_back()
    passed.give_back()
    assert desk.lane.in_flight == 0
    desk.ask(QUESTION, "b")
    assert desk.lane.in_flight == 1


def test_a_spent_place_cannot_be_passed_on():
    desk = Desk(1, 1)
    desk.ask(SALE, "a")
    desk.end("a")
    with pytest.raises(AssertionError):
        desk.slots["a"].pass_on()


def test_whoever_starts_may_ask_again_at_once():
    lane = Lane(2, 2)
    started = []

    def start(slot: Slot) -> bool:
        started.append(slot)
        if len(started) < 5:
            lane.ask(SALE, start)
        return True

    lane.ask(SALE, start)
    assert (len(started), lane.in_flight, lane.waiting) == (2, 2, 1)
