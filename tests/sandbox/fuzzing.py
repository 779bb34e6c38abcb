"""Malformed requests, drawn from a seed: documents with one thing wrong, bytes that are no
document, headers and addresses that nobody should send.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

KIB_256 = 256 * 1024
"""The longest body that either side of the sandbox reads."""

TEXTS = (
    "", " ", "\x00", "\n", "null", "true", "-1", "0", "1e9", "٣", "²", "1_000", "+1", "0x10",
    "１２",
    "é", "☕" * 65, "\u202e", "\ufeff", "a" * 65, "b" * 257, "c" * 2049, "9" * 5000, "%s%n", "{}",
    "../..", "' or 1=1 --", "<script>", "JPY", "S", "2026-01-31T12:00:00",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "http://[::1", "ftp://127.0.0.1/",
    "http://127.0.0.1:99999/", "http://:80/", "http://127.0.0.1:0/", "281006020000000000000012",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 1.5, -0.0, 1e300)


def nested(depth: int, inner: Any = 1, *, as_list: bool = True) -> Any:
    for _ in range(depth):
        inner = [inner] if as_list else {"a": inner}
    return inner


OTHERS = (
    None, True, False, [], {}, [[]], {"": 0}, nested(40), nested(40, as_list=False), ["x"] * 200,
)  # fmt: skip
GONE = object()
"""Instead of a value: the field is left out."""
HOSTILE = (*TEXTS, *NUMBERS, *OTHERS, GONE)
"""Values that hardly any field wants."""


def places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field of it, whole objects too."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for name, inner in items:
        yield (*path, name)
        yield from places(inner, (*path, name))


Path = tuple[str | int, ...]


def each_wrong(dice: random.Random, document: Any) -> list[tuple[Path, Any]]:
    """Every field of it with every hostile value, in an order of its own."""
    pairs = [(path, value) for path in places(document) for value in HOSTILE]
    dice.shuffle(pairs)
    return pairs


def with_wrong(document: Any, path: Path, value: Any) -> Any:
    """The document with one field gone or other than it was."""
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


REQUIRED = {
    "order", "order.referenceOrderId", "order.orderDescription", "order.orderAmount",
    "order.orderAmount.currency", "order.orderAmount.value", "paymentRequestId", "paymentAmount",
    "paymentAmount.currency", "paymentAmount.value", "paymentMethod", "refundRequestId",
    "paymentMethod.paymentMethodType", "paymentMethod.paymentMethodId", "refundAmount",
    "refundAmount.currency", "refundAmount.value", "settlementStrategy.settlementCurrency",
}  # fmt: skip
"""Source: the tables of pay, cancelPayment, inquiryPayment (one id is sent) and refund."""
NUMERIC = {"value", "goodsQuantity"}


def is_malformed(document: Any, path: Path, value: Any) -> bool:
    """Whether the tables leave no doubt that it is wrong: a required field that is not there, an
    empty text, another type than the sample's.
    """
    name = ".".join(map(str, path))
    if value is GONE or value is None:
        return name in REQUIRED
    if value == "":
        return True
    for step in path:
        document = document[step]
    if isinstance(document, str) and path[-1] in NUMERIC:
        return not isinstance(value, str | int) or isinstance(value, bool)
    if isinstance(document, str) and path[-1] == "isInStorePayment":
        return not isinstance(value, str | bool)
    return not isinstance(value, type(document))


def one_wrong(dice: random.Random, document: Any) -> Any:
    """The document with one field other than it was."""
    return with_wrong(document, dice.choice(list(places(document))), dice.choice(HOSTILE))


def dumped(dice: random.Random, document: Any) -> bytes:
    """As JSON in one of its forms: lone surrogates travel as escapes."""
    is_ascii = dice.random() < 0.5
    text = json.dumps(document, ensure_ascii=is_ascii, separators=dice.choice([None, (",", ":")]))
    return text.encode("utf-8", "surrogatepass")


def _truncated(dice: random.Random, body: bytes) -> bytes:
    return body[: dice.randrange(len(body))]


def _with_byte(dice: random.Random, body: bytes) -> bytes:
    at = dice.randrange(len(body))
    return body[:at] + bytes([dice.randrange(256)]) + body[at + 1 :]


def _spliced(dice: random.Random, body: bytes) -> bytes:
    piece = dice.choice(
        [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b'"\\ud800"', b"//", b"NaN", b"1e400", b"'",
        b"\x00",
         b"-", b"00", b',"paymentRequestId":null', b'"":"",', b"\\", b"9" * 5000, b"-" + b"9" * 400]
    )  # fmt: skip
    at = dice.randrange(len(body) + 1)
    return body[:at] + piece + body[at:]


def _doubled(dice: random.Random, body: bytes) -> bytes:
    """Names that come twice, with another value each time."""
    try:
        fields = list(json.loads(body).items())
    except (ValueError, AttributeError, RecursionError):
        return body + body
    name, _ = dice.choice(fields or [("a", 1)])
    extra = json.dumps({name: dice.choice((*TEXTS, *NUMBERS, *OTHERS))})[1:-1]
    written = json.dumps(dict(fields))[1:-1]
    return ("{" + dice.choice([f"{extra},{written}", f"{written},{extra}"]) + "}").encode()


def _deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _other(dice: random.Random, body: bytes) -> bytes:
    return dice.choice(
        [b"", b" ", b"{}", b"[]", b"null", b"0", b'""', b'"' + b"x" * 300 + b'"', b"[" * 20_000,
        _deep(dice.randrange(100, 3000)),
         b'{"a":' * 5_000, b"{" + b'"a":1,' * 3_000, b"\xef\xbb\xbf" + body, body.decode("utf-8",
         "replace").encode("utf-16"),
         b"a=1&b=2", b"<xml/>", b"[" + body + b"]", body + body, body.replace(b'"', b"'")]
    )  # fmt: skip


def _surrogates(dice: random.Random, body: bytes) -> bytes:
    """A text with half a pair in it, where any text stands."""
    at = [i for i in range(len(body) - 1) if body[i : i + 2] == b':"'] or [0]
    place = dice.choice(at) + 2
    return body[:place] + dice.choice([b"\\ud800", b"\\udfff\\ud800", b"\\u0000"]) + body[place:]


def _padded(dice: random.Random, body: bytes) -> bytes:
    """Up to a megabyte, around the longest that is read."""
    size = dice.choice([KIB_256 - 1, KIB_256, KIB_256 + 1, 1 << 20])
    return body + b" " * (size - len(body))


SPOILERS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _truncated, _with_byte, _spliced, _doubled, _other, _surrogates,
)  # fmt: skip


def spoilt(dice: random.Random, body: bytes) -> bytes:
    """Bytes that are hardly the document any more."""
    if dice.random() < 0.01:
        return _padded(dice, body)
    for _ in range(dice.choice([1, 1, 1, 2])):
        body = dice.choice(SPOILERS)(dice, body or b"{}")
    return body


Headers = list[tuple[bytes, bytes]]
BAD_VALUES = (
    b"", b" ", b",", b"=", b"signature=", b"algorithm=RSA256", b"\xff\xfe", b"\xe9", b"a" * 9000,
    b"\x01",
    b"%", b"%zz", b"2026-01-31", b"9" * 5000, b"algorithm=RSA256,keyVersion=-1,signature=AAAA",
    b"algorithm=RSA256,signature=" + b"%41" * 3000, b"algorithm=RSA256,keyVersion=1,signature=%%%",
    b"application/x-www-form-urlencoded", b"application/json; charset=utf-16", b"text/html",
)  # fmt: skip


def other_headers(dice: random.Random, headers: Headers) -> Headers:
    """One of them gone, twice, emptied, or with another value."""
    at = dice.randrange(len(headers))
    name, value = headers[at]
    rest = headers[:at] + headers[at + 1 :]
    match dice.randrange(5):
        case 0:
            return rest
        case 1:
            return [*headers, (name, dice.choice([value, *BAD_VALUES]))]
        case 2:
            return [(name, dice.choice(BAD_VALUES)), *headers]
        case 3:
            return [*rest, (name, _cut(dice, value))]
        case _:
            return [*rest, (name, dice.choice(BAD_VALUES))]


def _cut(dice: random.Random, value: bytes) -> bytes:
    at = dice.randrange(len(value) + 1)
    return value[:at] + bytes([dice.randrange(32, 256)]) + value[at + 1 :]


METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "post", "X" * 30)
TAILS = (
    "/",
    "//",
    "/..",
    "%00",
    "%2F",
    "%ff",
    "?",
    "?a=%ff&b",
    ";x",
    "%",
    "é",
    "x" * 3000,
    "#",
    "/%0d%0a",
)


def other_path(dice: random.Random, path: str) -> str:
    """An address near a good one."""
    match dice.randrange(4):
        case 0:
            return path + dice.choice(TAILS)
        case 1:
            return path[: dice.randrange(1, len(path))]
        case 2:
            return "/" + dice.choice(TAILS) + path
        case _:
            letters = list(path)
            letters[dice.randrange(1, len(path))] = dice.choice("%/.\\~é\x7f")
            return "".join(letters)


def _line(method: str, path: str, tail: str = " HTTP/1.1") -> bytes:
    return f"{method} {path}{tail}\r\n".encode("utf-8", "surrogateescape")


def raw_request(dice: random.Random, path: str, headers: Headers, body: bytes) -> tuple[str, bytes]:
    """A request as the bytes of a connection, and what is wrong with it; `good`: nothing."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    lines += b"Host: localhost\r\nConnection: close\r\n"
    length = b"Content-Length: %d\r\n" % len(body)
    start, end = _line("POST", path), b"\r\n"
    whole = start + lines + length + end + body
    chunks = b"Transfer-Encoding: chunked\r\n"
    at = dice.randrange(1, len(body))
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:at], body[at:]))
    kind = dice.choice(
        ["good", "good chunks", "good after blank lines", "good http 1.0", "start", "header",
        "twice",
         "huge header", "chunks", "both lengths", "length", "cut", "noise", "line feeds",
         "megabyte",
         "byte"]
    )  # fmt: skip
    match kind:
        case "good chunks":
            return kind, start + lines + chunks + end + pieces + b"0\r\n\r\n"
        case "good after blank lines":
            return kind, b"\r\n\r\n" + whole
        case "good http 1.0":
            return kind, whole.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        case "start":
            begun = dice.choice(
                [b"POST\r\n", b"\x00\r\n", _line("post", path), _line("POST", path, ""),
                 _line("POST", path, " HTTP/9.9"), _line("POST", "/" + "é" * 9), _line("POST", "*"),
                 _line("POST", "http://other" + path), _line("POST", path + " x"),
                 _line("GET", path),
                 _line("CONNECT", "a:1"), _line("POST", "/" + "a" * 70_000), _line("HEAD", path)]
            )  # fmt: skip
            return kind, begun + whole[len(start) :]
        case "header":
            added = dice.choice(
                [b"nothing\r\n", b": x\r\n", b"a b: c\r\n", b"\x00: x\r\n", b"x: \x00\r\n",
                b" folded\r\n",
                 b"x:\xff\xfe\r\n", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n",
                 b"Upgrade: h2c\r\nConnection: Upgrade\r\n"]
            )  # fmt: skip
            return kind, start + added + whole[len(start) :]
        case "twice":
            name, value = dice.choice(headers)
            again = dice.choice([value, *BAD_VALUES]).replace(b"\x01", b"")
            return kind, start + name + b": " + again + b"\r\n" + whole[len(start) :]
        case "huge header":
            return kind, start + b"x: " + b"a" * 200_000 + b"\r\n" + whole[len(start) :]
        case "chunks":
            broken = dice.choice([b"zz\r\n", b"-1\r\n", b"f" * 40 + b"\r\n", b"5\r\nabc", b"\r\n"])
            return kind, start + lines + chunks + end + broken
        case "both lengths":
            return kind, start + lines + length + chunks + end + pieces + b"0\r\n\r\n"
        case "length":
            value = dice.choice(
                [b"-1", b"1e3", b"9" * 30, b"", b"x", b"5", b"0", b"%d" % (1 << 40)]
            )
            return kind, start + lines + b"Content-Length: " + value + b"\r\n" + end + body
        case "cut":
            return kind, whole[: dice.randrange(len(whole))]
        case "noise":
            return kind, dice.randbytes(dice.choice([1, 16, 3000]))
        case "line feeds":
            return kind, whole.replace(b"\r\n", b"\n")
        case "megabyte":
            big = b"Content-Length: %d\r\n" % (1 << 20)
            return kind, start + lines + big + end + b" " * (1 << 20)
        case "byte":
            return kind, _with_byte(dice, whole)
        case _:
            return kind, whole
