"""The merchants' file: what it holds, and how each mistake in it is named."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from tests.support import API_KEY, merchant_document
from tillgate.core.errors import ConfigError
from tillgate.merchants import hash_key, read_directory

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def read(*merchants: dict):
    return read_directory({"merchant": list(merchants)}, "m.toml")


def test_a_key_leads_to_its_merchant_and_only_its_hash_is_kept():
    directory = read(merchant_document(1, "tg_test_a"), merchant_document(2, "tg_test_b"))
    assert directory.caller("tg_test_a", NOW).merchant_id == "M00000000001"
    assert directory.caller("tg_test_b", NOW).merchant_id == "M00000000002"
    assert directory.caller("", NOW) is None
    assert directory.caller(hash_key("tg_test_a"), NOW) is None
    assert "tg_test_a" not in repr(directory)


def test_a_test_key_under_a_live_id_opens_nothing():
    document = merchant_document(1, "tg_test_a")
    document["key"][0]["id"] = "tg_live_1"
    assert read(document).caller("tg_test_a", NOW) is None


def changed(path: str, value) -> dict:
    document = copy.deepcopy(merchant_document())
    at = document
    *way, last = path.split(".")
    for step in way:
        at = at[int(step) if step.isdigit() else step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("id", None, "merchant[0].id: missing"),
        ("id", "x" * 33, "merchant[0].id"),
        ("name", 7, "merchant[0].name"),
        ("mcc", "14", "merchant[0].mcc"),
        ("region", "Japan", "merchant[0].region"),
        ("region", "jp", "merchant[0].region"),
        ("settlement_currency", "ABC", "merchant[0].settlement_currency"),
        ("store", [], "merchant[0].store"),
        ("store", "one", "merchant[0]: store"),
        ("store.0.terminal", [], "merchant[0].store[0].terminal"),
        ("store.0.name", "", "merchant[0].store[0].name"),
        ("key.0.id", "my-key", "merchant[0].key[0].id"),
        ("key.0.hash", "secret", "merchant[0].key[0].hash"),
        ("colour", "red", "merchant[0].colour: unknown"),
        ("store.0.colour", "red", "merchant[0].store[0].colour: unknown"),
    ],
)
def test_a_mistake_is_named_with_its_place(path, value, place):
    with pytest.raises(ConfigError) as caught:
        read(changed(path, value))
    assert any(place in problem for problem in caught.value.problems), caught.value.problems
    assert "secret" not in str(caught.value)


def test_what_stands_twice_is_refused():
    with pytest.raises(ConfigError) as caught:
        read(merchant_document(1, API_KEY), merchant_document(1, API_KEY))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("document", [{}, {"merchant": []}, {"shop": []}])
def test_a_file_without_merchants_is_refused(document):
    with pytest.raises(ConfigError):
        read_directory(document, "m.toml")
