"""Sending to addresses that merchants choose: only to the machines that were checked, over real
sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
from functools import cache
from pathlib import Path

import aiodns
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from tests.webhook_receiver import Receiver, status
from tillgate.core.webhook_address import AddressPolicy, AddressRefused
from tillgate.core.webhooks import Failure
from tillgate.webhook_transport import Answered, HttpWebhookTransport, NotAnswered, _is_same

LOCAL, STRICT = AddressPolicy(allows_local=True), AddressPolicy()


@contextlib.asynccontextmanager
async def transport(policy=LOCAL, look_up=None, tls=None, **more):
    one = HttpWebhookTransport(policy, look_up, tls=tls, **more)
    await one.start()
    try:
        yield one
    finally:
        await one.close()


def send(url_of, receiver: Receiver | None = None, times: int = 1, **options):
    """What became of it: the answer, or the failure."""
    receiver = receiver or Receiver()

    async def whole():
        async with receiver.running(), transport(**options) as one:
            outcomes = []
            for _ in range(times):
                try:
                    outcomes.append(await one.post(url_of(receiver), b"{}", {"webhook-id": "a"}))
                except NotAnswered as error:
                    outcomes.append(error.failure)
            return outcomes if times > 1 else outcomes[0]

    return asyncio.run(whole())


def to(name: str, scheme: str = "http", path: str = "/hook"):
    return lambda receiver: f"{scheme}://{name}:{receiver.port}{path}"


def names(*answers: list[str]):
    """A name server that gives these answers one after the other, the last one for ever."""
    given = list(answers)

    async def look_up(host, port):
        found = given.pop(0) if len(given) > 1 else given[0]
        return [ipaddress.ip_address(each) for each in found]

    return look_up


def test_it_posts_the_very_bytes_with_the_headers_to_the_very_path():
    receiver = Receiver()
    assert send(to("127.0.0.1", path="/a%2fb?c=%41"), receiver) == Answered(200, None)
    [got] = receiver.got
    assert (got.line, got.body) == ("POST /a%2fb?c=%41 HTTP/1.1", b"{}")
    headers = got.headers
    assert headers["webhook-id"] == "a"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert not {"cookie", "authorization", "proxy-authorization"} & set(headers)


def test_a_connection_is_used_again_and_no_cookie_is_kept():
    receiver = Receiver(lambda _: status(200, "Set-Cookie: a=b").replace(b"So", b"OK"))
    assert send(to("127.0.0.1"), receiver, times=3) == [Answered(200, None)] * 3
    assert receiver.connections == 1
    assert not any("cookie" in got.headers for got in receiver.got)


def test_a_redirect_is_told_and_not_followed():
    receiver = Receiver()
    receiver.script = lambda _: status(307, f"Location: {receiver.url}")
    assert send(to("127.0.0.1"), receiver) == Answered(307, None)
    assert len(receiver.got) == 1


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(to("127.0.0.1")) == Answered(200, None)


def test_retry_after_is_handed_on():
    receiver = Receiver(lambda _: status(503, "Retry-After: 120"))
    assert send(to("127.0.0.1"), receiver) == Answered(503, "120")


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100000000\r\n\r\n" + b"x" * 100_000,
        b"Content-Length: 10\r\n\r\nx",
        b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
    ],
    ids=["endless", "cut off", "bad gzip"],
)
def test_a_yes_is_a_yes_whatever_follows_its_head(rest):
    """The body is read for the connection's sake only, a few KiB and a second of it."""

    receiver = Receiver(lambda _: b"HTTP/1.1 200 OK\r\n" + rest)
    assert send(to("127.0.0.1"), receiver) == Answered(200, None)


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"HTTP/1.1 200", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 9000],
    ids=["none", "nothing", "half a line", "no http", "endless head"],
)
def test_what_is_no_answer_in_http_broke_off(answer):
    assert send(to("127.0.0.1"), Receiver(lambda _: answer)) == Failure.BROKE_OFF


def test_nobody_listening_is_not_connected():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert send(lambda _: f"http://127.0.0.1:{port}/") == Failure.NOT_CONNECTED


def test_silence_is_timed_out_and_a_drip_of_bytes_is_silence():
    async def never(_):
        await asyncio.Event().wait()

    class Drips(Receiver):
        async def _answer(self, reader, writer):
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)
            return True

    assert send(to("127.0.0.1"), Receiver(never), limit_s=0.1) == Failure.TIMED_OUT
    assert send(to("127.0.0.1"), Drips(), limit_s=0.1) in (Failure.TIMED_OUT, Failure.BROKE_OFF)


def test_a_name_server_that_hangs_is_not_waited_for():
    async def hangs(host, port):
        await asyncio.Event().wait()

    assert send(to("shop.example"), look_up=hangs, limit_s=0.1) == Failure.TIMED_OUT


def test_a_name_without_an_address_is_not_found():
    async def nothing(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    assert send(to("shop.example"), look_up=nothing) == Failure.NAME_NOT_FOUND
    assert send(to("shop.example"), look_up=names([])) == Failure.NAME_NOT_FOUND


# --- Only where it may


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["2002:7f00:1::"],
        ["64:ff9b::7f00:1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
    ],
)
def test_a_name_that_stands_for_a_refused_address_is_not_connected_to(found):
    """One such address among several is enough."""
    receiver = Receiver()
    url_of = to("shop.example", "https")
    assert send(url_of, receiver, policy=STRICT, look_up=names(found)) == Failure.ADDRESS_REFUSED
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{}/", "https://[::1]:{}/", "http://127.0.0.1:{}/"]
)
def test_a_refused_address_itself_is_not_connected_to(url):
    receiver = Receiver()
    outcome = send(lambda receiver: url.format(receiver.port), receiver, policy=STRICT)
    assert outcome == Failure.ADDRESS_REFUSED
    assert receiver.connections == 0


def test_a_name_that_means_something_else_the_second_time_leads_nowhere():
    """Rebinding: good at registration, ours a moment later; and within one connection it is asked
    only once.
    """
    asked = []
    look_up = names(["93.184.216.34"], ["127.0.0.1"])

    async def counted(host, port):
        asked.append(host)
        return await look_up(host, port)

    async def whole():
        receiver = Receiver()
        async with receiver.running(), transport(STRICT, counted) as one:
            url = f"https://shop.example:{receiver.port}/"
            await one.check(url)
            with pytest.raises(NotAnswered) as told:
                await one.post(url, b"{}", {})
            return told.value.failure, receiver.connections

    assert asyncio.run(whole()) == (Failure.ADDRESS_REFUSED, 0)
    assert asked == ["shop.example"] * 2


def test_the_connection_is_made_to_the_address_that_was_checked():
    """The name is not asked for again on the way: a second answer would be another machine."""
    receiver = Receiver()
    look_up = names(["127.0.0.1"], ["127.0.0.9"])
    assert send(to("shop.example"), receiver, look_up=look_up) == Answered(200, None)
    assert receiver.got[0].headers["host"] == f"shop.example:{receiver.port}"


def test_no_socket_is_made_for_an_address_that_slipped_through():
    one = HttpWebhookTransport(STRICT)
    with pytest.raises(AddressRefused):
        one._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 443)))


@pytest.mark.parametrize(
    ("url", "found", "says"),
    [
        ("https://shop.example/", ["93.184.216.34"], None),
        ("https://shop.example/", ["127.0.0.1"], "not public"),
        ("https://shop.example/", ["93.184.216.34", "::1"], "not public"),
        ("https://shop.example/", [], "no address now"),
        ("https://93.184.216.34/", [], None),
        ("https://127.0.0.1/", ["93.184.216.34"], "not public"),
        ("http://shop.example/", ["93.184.216.34"], "https"),
    ],
)
def test_registration_looks_the_same_way(url, found, says):
    async def whole():
        async with transport(STRICT, names(found)) as one:
            await one.check(url)

    if says is None:
        asyncio.run(whole())
    else:
        with pytest.raises(AddressRefused, match=says):
            asyncio.run(whole())


# --- TLS


@cache
def authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _certificate(key, key, "authority", None)


def _certificate(key, signer, name, issuer) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(signer, hashes.SHA256())


def server_tls(folder: Path, name: str) -> tuple[ssl.SSLContext, list[str | None]]:
    """A server's context for a name, and the names that clients asked it for."""
    signer, root = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = _certificate(key, signer, name, root.subject)
    file = folder / "server.pem"
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, asked_for, _context: asked.append(asked_for)
    return context, asked


def client_tls() -> ssl.SSLContext:
    root = authority()[1].public_bytes(serialization.Encoding.PEM).decode()
    return ssl.create_default_context(cadata=root)


def test_the_certificate_is_the_names_though_the_connection_goes_to_an_address(tmp_path):
    tls, asked = server_tls(tmp_path, "shop.example")
    url_of = to("shop.example", "https")
    options = {"look_up": names(["127.0.0.1"]), "tls": client_tls()}
    assert send(url_of, Receiver(tls=tls), **options) == Answered(200, None)
    assert asked == ["shop.example"]


@pytest.mark.parametrize("name", ["other.example", "localhost"])
def test_another_names_certificate_is_no_good(tmp_path, name):
    tls, _ = server_tls(tmp_path, name)
    receiver = Receiver(tls=tls)
    options = {"look_up": names(["127.0.0.1"]), "tls": client_tls()}
    assert send(to("shop.example", "https"), receiver, **options) == Failure.TLS_FAILED
    assert receiver.got == []


def test_a_certificate_that_nobody_vouches_for_is_no_good(tmp_path):
    tls, _ = server_tls(tmp_path, "shop.example")
    options = {"look_up": names(["127.0.0.1"])}
    outcome = send(to("shop.example", "https"), Receiver(tls=tls), **options)
    assert outcome == Failure.TLS_FAILED


class NameServer(asyncio.DatagramProtocol):
    """A name server that knows `good.example` and is silent to whatever else it is asked."""

    def connection_made(self, transport):
        self.transport = transport
        self.asked = 0

    def datagram_received(self, query, sender):
        self.asked += 1
        end = query.index(b"\0", 12) + 5
        question, kind = query[12:end], query[end - 3]
        if not question.startswith(b"\4good\7example\0"):
            return
        count = 1 if kind == 1 else 0  # A; of AAAA it has none
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + bytes([93, 184, 216, 34])
        head = query[:2] + b"\x81\x80\0\1" + bytes([0, count]) + b"\0\0\0\0"
        self.transport.sendto(head + question + answer * count, sender)


def test_names_that_nobody_answers_hold_up_no_other():
    """Hundreds of names of one merchant whose name server hangs; another's is found meanwhile."""

    async def whole():
        loop = asyncio.get_running_loop()
        udp, server = await loop.create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
        where = f"127.0.0.1:{udp.get_extra_info('sockname')[1]}"

        def resolver():
            return aiodns.DNSResolver(nameservers=[where], timeout=1, tries=2)

        async with transport(policy=STRICT, resolver=resolver) as one:
            hanging = [
                asyncio.create_task(one.check(f"https://n{number}.tarpit.example/"))
                for number in range(300)
            ]
            while server.asked < 300:
                await asyncio.sleep(0)
            await one.check("https://good.example/")
            assert not any(each.done() for each in hanging)
            told = await asyncio.gather(*hanging, return_exceptions=True)
        udp.close()
        return told

    told = asyncio.run(whole())
    assert len(told) == 300
    assert all(isinstance(each, AddressRefused) for each in told)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://[2606:4700:4700::ABCD]/", True),
        ("https://[2606:4700:4700:0:0:0:0:abcd]/", True),
        ("https://Shop.Example/", True),
        ("https://93.184.216.34/", True),
    ],
)
def test_however_an_address_is_written_it_is_sent_to(url, same):
    """What a merchant may register must not be refused when it is sent to."""
    target = STRICT.target(url)
    assert _is_same(URL(url, encoded=True), target) is same
    other = STRICT.target("https://[2606:4700:4700::abce]/")
    assert not _is_same(URL(url, encoded=True), other)
