"""Bytes that are hardly HTTP, over real sockets: an answer of HTTP or the end of the connection,
never 5xx, and whoever calls properly is heard.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from contextlib import suppress

import pytest

from tests.simulation.corpus import FRESH

from .fuzzed_side import FOLDER, Side, in_town
from .fuzzing import dumped, raw_request

SEED = 20260131
CONNECTIONS = 300
AT_ONCE = 20
STATUSES = {100, 200, 400, 404, 405, 413, 414, 431}
"""200 with a `result`; 4xx of the server itself, in plain text, or of the testers' side."""


async def exchanged(port: int, sent: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    with suppress(ConnectionError):
        writer.write(sent)
        await writer.drain()
        try:
            got = await asyncio.wait_for(reader.read(), 0.2)
        except TimeoutError:  # it waits for more
            writer.write_eof()
            got = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return got


@pytest.mark.parametrize("seed", [SEED, FRESH])
def test_whatever_comes_over_a_connection(keys, caplog, seed):
    dice = random.Random(seed)

    async def play(side: Side) -> None:
        path = FOLDER + "inquiryPayment"
        for start in range(0, CONNECTIONS, AT_ONCE):
            drawn = []
            for _ in range(AT_ONCE):
                body = dumped(dice, await side.documents("inquiryPayment"))
                drawn.append(raw_request(dice, path, side.signed(path, body), body))
            answers = await asyncio.gather(*(exchanged(side.port, sent) for _, sent in drawn))
            for i, ((kind, sent), got) in enumerate(zip(drawn, answers, strict=True), start):
                said = f"seed {seed}, connection {i} ({kind}): {sent[:300]!r}: {got[:300]!r}"
                statuses = {int(s) for s in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", got)}
                assert statuses <= STATUSES, said
                if kind.startswith("good"):
                    assert statuses == {200}, said
                    assert b'"SUCCESS"' in got, said
                if kind == "megabyte":
                    assert b'"PARAM_ILLEGAL"' in got, said
        await side.check_books()
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    in_town(keys, play, is_served=True)
