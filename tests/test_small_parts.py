"""Ids, logs and the listening socket."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from tillgate import logs
from tillgate.core.codes import mask_in
from tillgate.ids import new_id
from tillgate.server import Address, listen, url_of

NOW = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)


def test_an_id_is_time_ordered_unguessable_and_fits_the_network():
    ids = [new_id("pay", NOW + timedelta(milliseconds=n)) for n in range(1000)]
    assert ids == sorted(ids)
    assert all(len(each) == 30 <= 64 for each in ids)
    # 80 random bits: the last sixteen characters never repeat.
    assert len({each[-16:] for each in ids}) == 1000
    assert len({new_id("pay", NOW) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("paid 281006020000000000000012 now", "paid 281006****************12 now"),
        ("2510060200000012", "251006********12"),
        ("id 20190608114010800100188820200355883", "id 20190608114010800100188820200355883"),
        ("JPY 281006", "JPY 281006"),
        ("{'code': '300000000000000000'}", "{'code': '300000**********00'}"),
    ],
)
def test_what_looks_like_a_payment_code_is_masked_in_every_line(text, shown):
    assert mask_in(text) == shown


def test_a_traceback_is_masked_too(capsys):
    logs.set_up()
    try:
        raise ValueError("281006020000000000000012")
    except ValueError:
        logging.getLogger("tillgate.test").exception("a fault")
    line = capsys.readouterr().err
    assert "281006020000000000000012" not in line
    assert "281006****************12" in line
    assert "Traceback" in line


def test_the_real_port_is_known_before_anything_is_served():
    listener = listen(Address("127.0.0.1", 0))
    port = listener.getsockname()[1]
    assert url_of(listener) == f"http://127.0.0.1:{port}"
    listener.listen()
    with pytest.raises(OSError, match="in use"):
        listen(Address("127.0.0.1", port))
    listener.close()


@pytest.mark.parametrize("time", ["first", "second"])
def test_no_test_logs_to_the_standard_error_of_another(time):
    assert not any(type(each) is logging.StreamHandler for each in logging.getLogger().handlers)
    logs.set_up()
