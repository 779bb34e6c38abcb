"""Draws repeat, are recorded, and can be forced."""

from __future__ import annotations

from random import Random

from tillgate.simulation.dice import Dice, ForcedDice, RecordingDice, Table

TABLE = Table("table", ("good", 2), ("bad", 1), ("worse", 1), ("never", 0))


def drawn(dice: Dice) -> list[object]:
    return [
        draw
        for _ in range(200)
        for draw in (dice.pick(TABLE), dice.chance("chance", 0.5), dice.up_to("up", 9))
    ]


def test_the_same_seed_draws_the_same_recorded_or_not():
    assert drawn(Dice(Random("1"))) == drawn(RecordingDice(Random("1")))
    assert drawn(Dice(Random("1"))) != drawn(Dice(Random("2")))


def test_what_was_recorded_can_be_forced():
    recording = RecordingDice(Random("1"))
    before = drawn(recording)
    assert drawn(ForcedDice(recording.draws)) == before


def test_nothing_forced_is_a_good_world():
    assert set(drawn(ForcedDice({}))) == {"good", False}


def test_a_forced_draw_beyond_its_range_is_cut():
    dice = ForcedDice({"table#1": 99, "up#1": 99})
    assert dice.pick(TABLE) == "never"
    assert dice.up_to("up", 9) == 9


def test_weights_count_and_a_weight_of_zero_never_comes():
    dice = Dice(Random("1"))
    picks = [dice.pick(TABLE) for _ in range(4000)]
    assert "never" not in picks
    assert 1800 < picks.count("good") < 2200
