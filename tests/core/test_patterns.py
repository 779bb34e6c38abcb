import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillgate.core.patterns import BadPattern, compile_pattern

TAKEN = [
    # pattern, takes, does not take
    (r"^28$", ["28"], ["2", "288", "82", ""]),
    (r"^\d{2}$", ["00", "99"], ["1", "123"]),
    (r"^\d{2,}$", ["00", "123"], ["1"]),
    (r"^\d{2,3}$", ["00", "123"], ["1", "1234"]),
    (r"^\d{0,2}$", ["", "1", "12"], ["123"]),
    (r"^1?2$", ["2", "12"], ["112", "1"]),
    (r"^12*$", ["1", "1222"], ["", "21"]),
    (r"^12+$", ["12", "1222"], ["1"]),
    (r"^[0-57-9]$", ["0", "5", "7", "9"], ["6"]),
    (r"^[13\d]$", ["0", "9"], ["10"]),
    (r"^(2[5-9]|30)\d$", ["250", "309"], ["245", "315"]),
    (r"^(?:1|22)3$", ["13", "223"], ["123", "3"]),
    (r"^(12){2}$", ["1212"], ["12", "121212"]),
    (r"^(12)*3$", ["3", "12123"], ["123123"]),
    (r"^(1|2(3|4))5$", ["15", "235", "245"], ["25"]),
    (r"^\d*6\d{5}$", ["612345", "999612345"], ["512345"]),
]


@pytest.mark.parametrize(("pattern", "takes", "refuses"), TAKEN)
def test_what_is_taken_means_what_it_means_elsewhere(pattern, takes, refuses):
    automaton = compile_pattern(pattern)
    for digits in takes:
        assert automaton.matching(digits) == (0,), digits
    for digits in refuses:
        assert automaton.matching(digits) == (), digits


ATOMS = st.sampled_from(["1", "2", r"\d", "[0-4]", "[13]"])


def _extended(inner):
    group = inner.map(lambda part: f"({part})")
    repeated = st.builds(
        lambda part, sign: part + sign,
        st.one_of(ATOMS, group),
        st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{2,}", "{0,2}"]),
    )
    return st.one_of(
        repeated,
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
    )


PATTERNS = st.recursive(ATOMS, _extended, max_leaves=6)


@settings(max_examples=300)
@given(PATTERNS, st.lists(st.text("01234", max_size=9), min_size=1, max_size=20))
def test_any_expression_takes_what_the_standard_library_says_or_is_refused(pattern, texts):
    try:
        automaton = compile_pattern(f"^{pattern}$")
    except BadPattern as refused:
        assert "catastrophic" in str(refused) or "repetition" in str(refused)  # noqa: PT017
        return
    for digits in texts:
        assert bool(automaton.matching(digits)) is bool(re.fullmatch(pattern, digits)), digits


REFUSED = {
    "28": "must begin with ^ and end with $",
    "^28": "must begin with ^ and end with $",
    "28$": "must begin with ^ and end with $",
    "/^28$/": "must begin with ^ and end with $",
    "^2/8$": "leave the slashes",
    "^1|2$": "put the alternatives into a group",
    "^1$2$": "$ stands at the end only",
    "^1^2$": "^ stands at the beginning only",
    "^1)$": "a ) without its (",
    "^(1$": "a group is not closed",
    "^$": "nothing stands here",
    "^()$": "nothing stands here",
    "^(1|)$": "nothing stands here",
    "^.$": "a dot takes any character",
    r"^\D$": r"the escape \D is not taken",
    r"^\w+$": r"the escape \w is not taken",
    r"^\b1$": r"the escape \b is not taken",
    r"^(1)\1$": "a backreference is not taken",
    "^(?P<n>1)(?P=n)$": "a named group is not taken",
    "^(?P=n)$": "a backreference is not taken",
    "^(?<n>1)$": "a named group is not taken",
    "^(?=1)$": "look-ahead is not taken",
    "^(?!1)$": "look-ahead is not taken",
    "^(?<=1)$": "look-behind is not taken",
    "^(?<!1)$": "look-behind is not taken",
    "^(?>1)$": "an atomic group is not taken",
    "^(?#x)1$": "a comment is not taken",
    "^(?(1)2)$": "a condition is not taken",
    "^(?i)1$": "flags are not taken",
    "^(?i:1)$": "flags are not taken",
    "^a$": "'a' is no digit",
    "^2 8$": "' ' is no digit",
    "^٢$": "is no digit",
    "^*$": "* repeats nothing",
    "^(+1)$": "+ repeats nothing",
    "^1**$": "a repetition of a repetition",
    "^1{2}{3}$": "a repetition of a repetition",
    "^1*?$": "lazy and possessive",
    "^1++$": "lazy and possessive",
    "^1{33}$": "numbers up to 32",
    "^1{a}$": "numbers up to 32",
    "^1{,3}$": "numbers up to 32",
    "^1{2,²}$": "numbers up to 32",
    "^1{2$": "numbers up to 32",
    "^1{0}$": "{0} takes nothing",
    "^1{3,2}$": "the larger number comes second",
    "^[5-2]$": "runs backwards",
    "^[a]$": "a class holds digits",
    "^[1-]$": "a class holds digits",
    "^[٢]$": "a class holds digits",
    "^[]$": "a class is empty",
    "^[1$": "a class is not closed",
    "^[^1]$": "a class of what is not meant",
    "^" + "(" * 11 + "1" + ")" * 11 + "$": "more than 10 deep",
    "^" + "1" * 200 + "$": "more than 200 characters",
    "^((1{32}){32}){32}$": "too complex",
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "says"), REFUSED.items(), ids=REFUSED.keys())
def test_everything_else_is_refused_by_name(pattern, says):
    with pytest.raises(BadPattern) as caught:
        compile_pattern(pattern)
    assert says in str(caught.value)


CATASTROPHIC = [
    r"^(\d+)+$",
    r"^(\d*)*$",
    r"^(\d+)*6$",
    r"^(\d|\d\d)*$",
    r"^(1|1)*2$",
    r"^(\d?){16}$",
    r"^(\d?){5}(\d?){5}$",
    r"^\d*\d*\d*$",
    r"^\d*\d*$",
    r"^\d+\d+6$",
    r"^28\d*1\d*1\d*1\d*$",
    r"^(\d{1,2}){10}$",
    r"^(28\d*)*$",
    r"^((1?)?)?(\d?)?((\d?)?)?\d?\d?$",
]


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_what_would_make_a_backtracking_matcher_run_away_is_refused(pattern):
    with pytest.raises(BadPattern, match="catastrophic backtracking"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"^(\d{2})*$", r"^(5[0-4]*)+$", r"^\d{0,9}\d{0,9}$"])
def test_a_repetition_in_a_repetition_is_taken_where_it_cannot_run_away(pattern):
    assert compile_pattern(pattern).lengths()


def test_what_would_take_too_many_states_is_refused():
    # "A 6 at the 14th place from the end" has to remember 14 digits.
    with pytest.raises(BadPattern, match="too complex: it needs more than 4000 states"):
        compile_pattern(r"^\d*6\d{13}$")


@settings(max_examples=200)
@given(st.text(r"0123456789()[]{}|?*+\d^$,-.", max_size=40))
def test_any_text_is_compiled_or_refused_and_never_takes_long(text):
    began = time.process_time()
    try:
        compile_pattern(f"^{text}$")
    except BadPattern as refused:
        assert str(refused)  # noqa: PT017
    assert time.process_time() - began < 5
