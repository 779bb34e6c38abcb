"""`tillgate simulate` as a person meets it. What it tries stands in tests/simulation."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_cli import tillgate


def report(*arguments):
    done = tillgate("simulate", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("depth", ["core", "gateway"])
def test_the_same_seed_tells_the_same_and_another_does_not(depth):
    def told(seed):
        whole = report("--depth", depth, "--payments", "60", "--seed", seed)
        return {name: value for name, value in whole.items() if "per_second" not in name}

    first = told("7")
    assert first == told("7") != told("8")
    assert (first["depth"], first["seed"], first["violations"]) == (depth, 7, [])
    assert first["payments"] >= 60
    assert set(first["edges_never_visited"]) <= set(first["edges"])


def test_depth_gateway_is_the_default_and_a_fresh_seed_is_told():
    first, second = report("--payments", "5"), report("--payments", "5")
    assert first["depth"] == "gateway"
    assert first["seed"] != second["seed"]


def test_the_text_names_faults_edges_and_the_verdict():
    done = tillgate("simulate", "--depth", "core", "--payments", "200", "--seed", "1")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("seed 1, depth core: 200 payments")
    assert lines[-1] == "violations: 0"
    assert any(line.startswith("payments_per_second: ") for line in lines)
    assert any("reply lost after the effect" in line for line in lines)
    assert any("PENDING -> SUCCEEDED" in line for line in lines)


@pytest.mark.parametrize("options", [("--depth", "core"), ("--workers", "2")])
def test_one_world_alone_prints_its_tape_byte_for_byte(options):
    first, second = (tillgate("simulate", *options, "--seed", "4", "--only", "3") for _ in "ab")
    tape = first.stdout.partition("\n\n")[0]
    assert "->" in tape or "PENDING" in tape
    assert tape == second.stdout.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--payments", "0"), "a whole number from 1"),
        (("--payments", "many"), "a whole number from 1"),
        (("--seed", "-1"), "a whole number"),
        (("--workers", "4"), "invalid choice: 4"),
        (("--depth", "core", "--workers", "2"), "only depth gateway has workers"),
        (("--depth", "abyss"), "invalid choice"),
    ],
)
def test_bad_arguments_say_what_is_wanted(arguments, words):
    done = tillgate("simulate", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
