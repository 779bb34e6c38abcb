import pytest

from tillgate.core.automaton import Automaton, TooComplex, both, build, together
from tillgate.core.patterns import compile_pattern


def counting_to(number: int) -> Automaton:
    """Takes codes of just so many digits."""

    def move(count, digit):
        return count + 1 if count < number else None

    return build(0, move, lambda count: (0,) if count == number else ())


def test_a_walk_over_the_digits_tells_every_expression_that_takes_them():
    pair = together([counting_to(2), compile_pattern(r"^5\d*$")])
    assert pair.matching("51") == (0, 1)
    assert pair.matching("61") == (0,)
    assert pair.matching("512") == (1,)
    assert pair.matching("612") == ()
    assert pair.matching("") == ()


def test_nothing_together_takes_nothing():
    assert together([]).matching("123") == ()


def test_both_takes_what_the_two_take():
    found = both(compile_pattern(r"^[1-5]\d$"), compile_pattern(r"^[5-9]\d$"))
    assert found.matching("50") == (0,)
    assert found.matching("40") == found.matching("60") == ()


def test_codes_of_up_to_32_digits_are_taken_and_no_longer_ones():
    endless = compile_pattern(r"^\d+$")
    assert endless.lengths() == tuple(range(1, 33))
    assert counting_to(32).matching("1" * 32) == (0,)
    assert counting_to(33).lengths() == ()


def test_it_tells_at_which_digit_nothing_can_match_any_more():
    found = compile_pattern(r"^28\d6\d*$")
    assert found.stops_at("2815") == 4
    assert found.stops_at("3") == 1
    assert found.stops_at("281") is None
    assert found.stops_at("28160") is None


def test_the_state_after_some_digits_is_the_one_that_single_steps_lead_to():
    found = compile_pattern(r"^28\d{3}$")
    assert found.after("28") == found.step(found.step(1, 2), 8)
    assert found.after("27") == 0


def test_too_many_states_are_refused():
    with pytest.raises(TooComplex, match="4000 states"):
        build(0, lambda state, digit: state * 10 + digit + 1, lambda state: ())
