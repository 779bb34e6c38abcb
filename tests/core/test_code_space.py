import itertools

import pytest

from tillgate.core.automaton import together
from tillgate.core.code_space import CodeClass, CodeSpace, Where, ranges, summary
from tillgate.core.codes import EXPRESSIONS, CodeKind, parse_code
from tillgate.core.patterns import compile_pattern


def space_of(*patterns):
    return CodeSpace(together([compile_pattern(pattern) for pattern in patterns]))


def test_every_payment_code_is_of_exactly_one_kind():
    """Over every payment code there is."""
    claims = space_of(*EXPRESSIONS.values()).claims()
    assert all(len(matching) == 1 for _, matching in claims)
    assert {length for length, _ in claims} == set(range(16, 33))


@pytest.mark.parametrize("kind", CodeKind)
def test_the_expression_of_a_kind_takes_what_parsing_says(kind):
    space = space_of(EXPRESSIONS[kind])
    for found in space.classes():
        if (0,) in found.claims:
            assert parse_code(space.example(found, (0,))).kind is kind


def test_every_code_is_in_exactly_one_class():
    space = space_of(r"^28\d006\d*$")
    cells = [
        (found.length, found.prefix, number)
        for found in space.classes()
        for number in found.numbers
    ]
    assert len(cells) == len(set(cells)) == 17 * 6 * 1000


def test_a_class_tells_what_takes_some_of_its_codes():
    space = space_of(r"^28\d006\d{18}$", r"^289\d{21}$")
    claims = {
        (found.prefix, 6 in found.numbers): found.claims
        for found in space.classes()
        if found.length == 24
    }
    assert claims["28", True] == {(0,), (0, 1)}
    assert claims["28", False] == {(), (1,)}
    assert claims["27", True] == {()}


def test_an_example_is_a_code_of_its_class():
    space = space_of(r"^(2[5-9]|30)9\d{10}6\d{5}$")
    for found in space.classes():
        for claims in found.claims:
            example = space.example(found, claims)
            assert len(example) == found.length
            assert example[:2] == found.prefix
            assert int(example[3:6]) in found.numbers
            assert parse_code(example).digits == example


def test_the_space_agrees_with_asking_code_by_code():
    """All codes of 16 digits whose last ten are zeros or sixes at one place."""
    pattern = r"^2[5-9]\d{2}[0-57-9]\d{5}6\d{5}$"
    automaton = compile_pattern(pattern)
    space = CodeSpace(automaton)
    by_cell = {
        (found.prefix, number): found.claims
        for found in space.classes()
        if found.length == 16
        for number in found.numbers
    }
    for prefix, third, number in itertools.product(("25", "30"), "09", ("006", "060", "600")):
        for tail in ("0" * 10, "0000600000"):
            digits = prefix + third + number + tail
            assert automaton.matching(digits) in by_cell[prefix, int(number)]


def cls(length, prefix, numbers):
    return CodeClass(length, prefix, frozenset(numbers), frozenset())


def test_classes_are_told_in_few_words():
    everything = [cls(n, p, range(1000)) for n in (16, 17, 19) for p in ("25", "26", "30")]
    assert summary(everything) == (Where("16 to 17, 19", "25 to 26, 30", "any"),)
    assert str(summary(everything)[0]) == "16 to 17, 19 digits, prefix 25 to 26, 30"
    some = [cls(24, "28", {6}), cls(24, "28", {10, 11})]
    assert summary(some) == (Where("24", "28", "006, 010 to 011"),)
    assert str(summary(some)[0]) == "24 digits, prefix 28, routing number 006, 010 to 011"


def test_all_prefixes_are_not_worth_a_word():
    everywhere = [cls(24, p, range(1000)) for p in ("25", "26", "27", "28", "29", "30")]
    assert str(summary(everywhere)[0]) == "24 digits"


@pytest.mark.parametrize(
    ("numbers", "words"), [([], ""), ([5], "5"), ([1, 2, 3], "1 to 3"), ([1, 3, 4], "1, 3 to 4")]
)
def test_ranges(numbers, words):
    assert ranges(numbers) == words
