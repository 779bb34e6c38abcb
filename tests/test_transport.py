"""The connections to a network, over real sockets and on both event loops: whose answer is whose,
and what is known of a request whose answer did not come.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import random
import socket
import ssl
from dataclasses import dataclass, field

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tillgate.transport import (
    ANSWER_BYTES_MAX,
    ConnectionBroke,
    HttpTransport,
    NoConnection,
    Reply,
)

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a coroutine on each of the loops that the gateway may be on."""

    def run_it(coroutine):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(coroutine, 20))

    return run_it


def ok(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


async def echo(peer, body, writer):
    writer.write(ok(body))


@dataclass
class Peer:
    """A server that notes what came on which connection, and does as the script says."""

    script: object = echo
    tls: ssl.SSLContext | None = None
    got: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    count: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _tasks: set[asyncio.Task] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def running(self, idle_s=15.0, path=""):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        scheme = "https" if self.tls else "http"
        transport = HttpTransport(f"{scheme}://127.0.0.1:{self.port}{path}", idle_s)
        await transport.start()
        try:
            yield transport
        finally:
            await transport.close()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.count += 1
        number = self.count
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                body = await reader.readexactly(length)
                self.got.append((number, head, body))
                await self.script(self, body, writer)
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
        finally:
            writer.close()


async def post(transport, body=b"{}", timeout_s=5.0, path="/pay", **headers):
    return await transport.post(path, body, headers, timeout_s)


def test_the_request_is_what_was_asked_for(run):
    async def go():
        peer = Peer()
        async with peer.running(path="/base") as transport:
            reply = await transport.post("/pay?a=b", b'{"x":1}', {"Client-Id": "ann"}, 5)
            assert reply == Reply(200, reply.headers, b'{"x":1}')
        [(_, head, _)] = peer.got
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /base/pay?a=b HTTP/1.1"
        assert b"Host: 127.0.0.1:%d" % peer.port in lines
        assert b"Client-Id: ann" in lines

    run(go())


def test_each_call_of_many_at_once_has_its_own_answer(run):
    draws = random.Random(7)

    async def slow_echo(peer, body, writer):
        for _ in range(draws.randrange(4)):
            await asyncio.sleep(0)
        answer = ok(body)
        cut = draws.randrange(len(answer))
        writer.write(answer[:cut])
        await asyncio.sleep(0)
        writer.write(answer[cut:])

    async def go():
        peer = Peer(slow_echo)
        async with peer.running() as transport:

            async def till(number):
                for sale in range(30):
                    asked = b"%d-%d" % (number, sale)
                    assert (await post(transport, asked)).body == asked

            await asyncio.gather(*map(till, range(40)))
        assert len(peer.got) == 40 * 30
        assert peer.count <= 40  # they are kept

    run(go())


def test_calls_in_turn_share_a_connection(run):
    async def go():
        peer = Peer()
        async with peer.running() as transport:
            for _ in range(5):
                await post(transport)
        assert peer.count == 1

    run(go())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"abc",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"abc"), b"abc"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(b"abc"), b"abc"),
        (ok(b""), b""),
        (ok(b"abc", b"Connection: close\r\n"), b"abc"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    ],
    ids=["chunked", "continue", "early hints", "empty", "close", "HTTP/1.0"],
)
def test_an_answer_in_any_form_of_http_byte_by_byte(run, answer, body):
    async def dribble(peer, asked, writer):
        for at in range(len(answer)):
            writer.write(answer[at : at + 1])
            await asyncio.sleep(0)

    async def go():
        peer = Peer(dribble)
        async with peer.running() as transport:
            for _ in range(2):
                reply = await post(transport)
                assert (reply.status, reply.body) == (200, body)
                assert "link" not in reply.headers

    run(go())


def test_an_answer_without_a_length_ends_with_its_connection(run):
    async def until_close(peer, asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nabc")
        writer.close()

    async def go():
        async with Peer(until_close).running() as transport:
            reply = await post(transport)
            assert (reply.body, reply.headers["x-a"]) == (b"abc", "b")

    run(go())


def test_a_status_without_a_body(run):
    async def nothing(peer, asked, writer):
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def go():
        peer = Peer(nothing)
        async with peer.running() as transport:
            assert [(await post(transport)).status for _ in range(2)] == [204, 204]
        assert peer.count == 1

    run(go())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: %b\r\n" % (b"a" * 900) * 2000,
        ok(b"a" * (ANSWER_BYTES_MAX + 1)),
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_a_broken_answer_may_have_arrived_and_is_not_asked_for_again(run, answer):
    """On a connection that was used before, too, where a library might be tempted to send again."""

    async def script(peer, asked, writer):
        if asked == b"first":
            writer.write(ok(b"fine"))
        else:
            writer.write(answer)
            writer.close()

    async def go():
        peer = Peer(script)
        async with peer.running() as transport:
            await post(transport, b"first")
            with pytest.raises(ConnectionBroke):
                await post(transport, b"second")
        assert [body for _, _, body in peer.got] == [b"first", b"second"]

    run(go())


def test_a_connection_that_the_network_closed_meanwhile_is_not_used(run):
    async def go():
        peer = Peer()
        async with peer.running() as transport:
            await post(transport)
            peer._tasks.pop().cancel()
            while transport._connections:  # the loop tells us
                await asyncio.sleep(0)
            assert (await post(transport, b"again")).body == b"again"
        assert peer.count == 2

    run(go())


@pytest.mark.parametrize("cut", ["time-out", "cancelled"])
def test_a_late_answer_is_nobody_elses(run, cut):
    async def go():
        may_answer = asyncio.Event()

        async def script(peer, asked, writer):
            if asked == b"slow":
                await may_answer.wait()
            writer.write(ok(asked))

        peer = Peer(script)
        async with peer.running() as transport:
            await post(transport, b"warm")
            if cut == "time-out":
                with pytest.raises(TimeoutError):
                    await post(transport, b"slow", 0.05)
            else:
                call = asyncio.create_task(post(transport, b"slow"))
                while len(peer.got) < 2:
                    await asyncio.sleep(0)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            may_answer.set()
            answers = [(await post(transport, b"%d" % each)).body for each in range(3)]
        assert answers == [b"0", b"1", b"2"]
        assert [number for number, _, body in peer.got if body == b"slow"] == [1]
        assert {number for number, _, body in peer.got if body in answers} == {2}

    run(go())


def test_what_comes_unasked_is_no_answer(run):
    async def script(peer, asked, writer):
        writer.write(ok(asked) + ok(b"and one more"))

    async def go():
        peer = Peer(script)
        async with peer.running() as transport:
            answers = [(await post(transport, b"%d" % each)).body for each in range(3)]
        assert answers == [b"0", b"1", b"2"]

    run(go())


def test_where_nobody_listens_nothing_was_sent(run):
    async def go():
        for url in ("http://127.0.0.1:1", "http://nothing.invalid:80", "https://127.0.0.1:1"):
            transport = HttpTransport(url)
            await transport.start()
            for _ in range(2):
                with pytest.raises(NoConnection):
                    await post(transport)
            await transport.close()

    run(go())


def test_a_connection_that_is_not_taken_is_given_up(run):
    async def go():
        # A listener whose queue is full takes no more.
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}")
            await transport.start()
            with pytest.raises(NoConnection):
                await post(transport, timeout_s=0.2)
            await transport.close()

    run(go())


def test_a_header_with_a_lines_end_never_leaves(run):
    async def go():
        peer = Peer()
        async with peer.running() as transport:
            for value in ("a\r\nX: b", "a\nX: b", "a\rX: b"):
                with pytest.raises(NoConnection):
                    await post(transport, Name=value)
            assert (await post(transport)).status == 200
        assert len(peer.got) == 1

    run(go())


def test_bytes_that_are_no_utf8_become_surrogates(run):
    async def script(peer, asked, writer):
        writer.write(ok(asked, b"Signature: \xff\r\nsignature: second\r\n"))

    async def go():
        async with Peer(script).running() as transport:
            assert (await post(transport)).headers.get("SIGNATURE") == "\udcff"

    run(go())


def test_an_unused_connection_is_closed(run):
    async def go():
        peer = Peer()
        async with peer.running(idle_s=0.05) as transport:
            await post(transport)
            await peer.ended.wait()
            await post(transport)
        assert peer.count == 2

    run(go())


def test_a_call_that_is_out_at_the_end_loses_its_answer(run):
    async def silent(peer, asked, writer):
        await asyncio.Event().wait()

    async def go():
        peer = Peer(silent)
        async with peer.running() as transport:
            call = asyncio.create_task(post(transport))
            while not peer.got:
                await asyncio.sleep(0)
            await transport.close()
            with pytest.raises(ConnectionBroke):
                await call
            with pytest.raises(NoConnection):
                await post(transport)

    run(go())


@pytest.fixture
def certificate(tmp_path):
    return certificate_in(tmp_path)


def certificate_in(folder):
    """A file with a certificate of this machine's address, its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "network")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "network.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.mark.parametrize("is_trusted", [True, False])
def test_over_tls_only_to_whom_the_system_trusts(run, certificate, monkeypatch, is_trusted):
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)

    async def go():
        peer = Peer(tls=tls)
        async with peer.running() as transport:
            if is_trusted:
                for body in (b"one", b"two"):
                    assert (await post(transport, body)).body == body
                assert peer.count == 1
            else:
                with pytest.raises(NoConnection):
                    await post(transport)
                assert not peer.got

    run(go())
