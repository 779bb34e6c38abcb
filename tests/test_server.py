"""What goes out together, and that nothing is held back or sent too much."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest
import uvloop

from tillgate.server import JoiningTransport


@dataclass
class Recorder:
    """Notes each write, and whether it was closed or cut."""

    writes: list[bytes] = field(default_factory=list)
    end: str | None = None

    def write(self, data):
        self.writes.append(data)

    def close(self):
        self.end = "closed"

    def abort(self):
        self.end = "cut"


def after(*acts, turns=1):
    """The recorder after these acts in one turn of the loop, and some turns more."""

    async def go():
        recorder = Recorder()
        joining = JoiningTransport(recorder, asyncio.get_running_loop())
        for name, *arguments in acts:
            getattr(joining, name)(*arguments)
        for _ in range(turns):
            await asyncio.sleep(0)
        return Recorder(list(recorder.writes), recorder.end)  # before the loop's last turns

    return asyncio.run(go())


def test_head_and_body_go_out_together():
    assert after(("write", b"head"), ("write", b"body"), turns=0).writes == [b"headbody"]


def test_one_piece_alone_goes_out_in_the_next_turn():
    assert after(("write", b"head"), turns=0).writes == []
    assert after(("write", b"head")).writes == [b"head"]


def test_at_most_one_piece_is_held_so_that_back_pressure_is_felt():
    acts = [("write", b"%d" % number) for number in range(5)]
    assert after(*acts, turns=0).writes == [b"01", b"23"]
    assert after(*acts).writes == [b"01", b"23", b"4"]


def test_what_is_held_is_sent_before_the_end_but_not_before_a_cut():
    closed = after(("write", b"last"), ("close",))
    assert (closed.writes, closed.end) == ([b"last"], "closed")
    cut = after(("write", b"last"), ("abort",))
    assert (cut.writes, cut.end) == ([], "cut")
    assert after(("write", b"last"), ("drop",)).writes == []


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_stream_that_nobody_reads_stops_its_writer(new_loop):
    """Over a real connection: what is written ahead stays near the transport's own limit."""

    class Writer(asyncio.Protocol):
        def connection_made(self, transport):
            self.may_write = asyncio.Event()
            self.may_write.set()
            self.joining = JoiningTransport(transport, asyncio.get_running_loop())
            made.set_result(self)

        def pause_writing(self):
            self.may_write.clear()

        def resume_writing(self):
            self.may_write.set()

    async def go():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Writer, "127.0.0.1", 0)
        reader, client = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer = await made
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while writer.may_write.is_set():
                    writer.joining.write(bytes(100_000))
                    sent += 100_000
                    await asyncio.sleep(0)
        assert not writer.may_write.is_set()
        writer.joining.close()
        assert len(await reader.read()) == sent
        client.close()
        server.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        made = runner.get_loop().create_future()
        runner.run(go())
