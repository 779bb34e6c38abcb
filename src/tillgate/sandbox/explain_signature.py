"""Why a signature fits, or does not: the content that was signed, the header's parts, the keys that
were tried and, where it does not fit, what it would fit.

Never tells a signature, a body or a payment code: of the body its length, its first line break and
its hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus, unquote_to_bytes

from tillgate.alipayplus.signing import (
    BadSignature,
    KeyRing,
    content_to_sign,
    parse_signature_header,
)
from tillgate.sandbox.exchanges import Raw


def explained(raw: Raw, keys: KeyRing | None) -> dict[str, Any]:
    """Step by step; `keys` is None where the Client-Id is not known."""
    body = raw.body or b""
    steps: dict[str, Any] = {
        "content_signed": {
            "line_1": f"POST {raw.path}",
            "line_2": f"{raw.client_id}.{raw.time or '(no time header)'}.<body>",
            "body_bytes": len(body),
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "content_sha256": _hash(raw),
        },
        "header": _header_words(raw.signature),
        "keys": sorted(keys.fingerprints().items()) if keys else "none: the Client-Id is not known",
        "verdict": None,
        "hint": None,
    }
    if keys is None:
        steps["verdict"] = "invalid: nobody is known by this Client-Id"
        return steps
    try:
        keys.verify(raw.signature, raw.path, raw.client_id, raw.time, body)
        content = content_to_sign(raw.path, raw.client_id, raw.time or "", body)
        version = keys.version_of(content, parse_signature_header(raw.signature).signature)
        steps["verdict"] = f"valid: it fits the key of version {version}"
    except BadSignature as error:
        steps["verdict"] = f"invalid: {error}"
        steps["hint"] = _hint(raw, keys)
    return steps


def _hash(raw: Raw) -> str | None:
    try:
        content = content_to_sign(raw.path, raw.client_id, raw.time or "", raw.body or b"")
    except UnicodeEncodeError:
        return None
    return hashlib.sha256(content).hexdigest()


def _header_words(header: str | None) -> dict[str, Any] | str:
    if not header:
        return "there is no Signature header"
    try:
        parsed = parse_signature_header(header)
    except BadSignature as error:
        return f"{error}"
    return {
        "algorithm": "RSA256",
        "keyVersion": parsed.key_version,
        "signature_bytes": len(parsed.signature),
    }


def _hint(raw: Raw, keys: KeyRing) -> str | None:
    """The first well-known mistake that explains it."""
    signature = _any_base64(raw.signature)
    if signature is None:
        return "the value is neither percent-encoded base64 nor base64url"
    for words, content in _mistakes(raw):
        try:
            keys.verify_content(content, signature)
        except BadSignature:
            continue
        return f"it fits {words}"
    return (
        "none of the usual mistakes explains it: most often the private key is another one than the"
        " public key that is known here, or the body was changed after it was signed"
    )


def _mistakes(raw: Raw) -> Iterator[tuple[str, bytes]]:
    time, body = raw.time or "", raw.body or b""
    path, client_id = raw.path, raw.client_id

    def content(path: str, body: bytes, time: str = time) -> bytes:
        return f"POST {path}\n{client_id}.{time}.".encode("utf-8", "replace") + body

    plain = path.partition("?")[0]
    yield "the content itself, but its encoding is another one (base64url?)", content(path, body)
    if plain != path:
        yield "the path without its query", content(plain, body)
    yield "the path without its leading slash", content(plain.lstrip("/"), body)
    yield "only the last part of the path", content("/" + plain.rpartition("/")[2], body)
    yield "the body with a line break behind it", content(path, body + b"\n")
    yield "the body without the white space around it", content(path, body.strip())
    for words, written in _rewritten(body):
        yield (
            f"the body written anew {words}: sign the very bytes that are sent",
            content(path, written),
        )
    yield "an empty body", content(path, b"")
    yield "a line break of two characters (CR LF)", content(path, body).replace(b"\n", b"\r\n", 1)
    yield "the body alone", body
    yield "the content without the method", content(path, body).partition(b" ")[2]
    yield "the method in lower case", b"post" + content(path, body)[4:]
    if "+" in time:
        yield "the time with a space for its plus sign", content(path, body, time.replace("+", " "))


_WRITERS: dict[str, dict[str, Any]] = {
    "without spaces": {"separators": (",", ":"), "ensure_ascii": False},
    "with spaces": {"ensure_ascii": False},
    "with \\u escapes": {"separators": (",", ":")},
    "with sorted names": {"separators": (",", ":"), "sort_keys": True, "ensure_ascii": False},
    "indented by 2": {"indent": 2, "ensure_ascii": False},
    "indented by 4": {"indent": 4, "ensure_ascii": False},
}


def _rewritten(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        value = json.loads(body)
        for words, how in _WRITERS.items():
            # A text may hold half a surrogate pair: no UTF-8, but legal as an escape.
            yield words, json.dumps(value, **how).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return


def _any_base64(header: str | None) -> bytes | None:
    value = (header or "").partition("signature=")[2].partition(",")[0].strip()
    for text in (unquote_to_bytes(value), unquote_plus(value).replace(" ", "+").encode()):
        for letters in (b"+/", b"-_"):
            try:
                # Strictly: letters of the other alphabet would be dropped without a word.
                return base64.b64decode(text + b"=" * (-len(text) % 4), letters, validate=True)
            except (binascii.Error, ValueError):
                continue
    return None
