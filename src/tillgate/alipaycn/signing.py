"""RSA2: what Alipay's open platform signs, in its three places, and how each is checked.

Theory of operation. A request is a form: all its parameters but `sign` and empty ones, sorted by
name and joined as `name=value&name=value`, are signed with SHA256withRSA; `sign_type` is among
them. An answer is JSON with two members: the signature covers the bytes of the `..._response`
member exactly as they travelled, so it is cut out and never re-encoded. A notice is a form again,
but without `sign_type`; its values are signed as they are after percent-decoding.

Everything here works on bytes: the charset of a notice is the sender's affair, and what was signed
is bytes. Sources: open platform pages "Signing" (common/057k53), "How to verify" (common/02mse7)
and "Asynchronous notices" (common/02mse3); the official Java SDK (`AlipaySignature`) and
python-alipay-sdk, which this agrees with in the tests.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote_to_bytes, urlencode

from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey

ALGORITHM = "RSA2"
"""The only one that new applications get (page "Signing")."""
NOTHING: Mapping[str, str] = MappingProxyType({})


class BadForm(ValueError):
    """The body is not a form with each name once. The message holds no value."""


def read_form(body: bytes) -> dict[bytes, bytes]:
    """The fields of a form, percent-decoded, in the order they came.

    Raises:
        BadForm: a name comes twice, so that two readers could see two values.
    """
    fields: dict[bytes, bytes] = {}
    for part in body.split(b"&"):
        if not part:
            continue
        name, _, value = (unquote_to_bytes(h) for h in part.replace(b"+", b" ").partition(b"="))
        if name in fields:
            raise BadForm("a field comes twice")
        fields[name] = value
    return fields


def request_content(fields: Mapping[bytes, bytes]) -> bytes:
    """What is signed of a request: everything but `sign` and empty values."""
    return _joined({name: value for name, value in fields.items() if value and name != b"sign"})


def notice_contents(fields: Mapping[bytes, bytes]) -> list[bytes]:
    """What may be signed of a notice: everything but `sign` and `sign_type`.

    Two pages differ on whether empty values are left out (the Java SDK keeps them, the PHP one
    does not), so a notice with empty values has two readings. The fields are the same in both.
    """
    signed = {n: v for n, v in fields.items() if n not in (b"sign", b"sign_type")}
    whole, without_empty = _joined(signed), _joined({n: v for n, v in signed.items() if v})
    return [whole] if whole == without_empty else [whole, without_empty]


def _joined(fields: Mapping[bytes, bytes]) -> bytes:
    return b"&".join(name + b"=" + fields[name] for name in sorted(fields))


def sign(key: SigningKey, content: bytes) -> str:
    """The value of `sign`: base64 on one line. Never raises."""
    return base64.b64encode(key.sign_content(content)).decode()


def signed_form(
    key: SigningKey, parameters: Mapping[str, str], in_address: Mapping[str, str] = NOTHING
) -> bytes:
    """The body of a request: its parameters with `sign` among them, as a form. What travels in the
    address is signed with them.
    """
    signed = {**parameters, **in_address}
    content = request_content({n.encode(): v.encode() for n, v in signed.items()})
    return urlencode({**parameters, "sign": sign(key, content)}).encode()


def verify(keys: KeyRing, content: bytes, signature: bytes | str | None) -> None:
    """Check that one of these keys signed exactly these bytes.

    Raises:
        BadSignature: none did, or the signature is missing or not base64.
    """
    if not signature:
        raise BadSignature("there is no sign")
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature("the sign is not base64") from None
    keys.verify_content(content, raw)


def verify_notice(keys: KeyRing, fields: Mapping[bytes, bytes]) -> None:
    """Check a notice's signature.

    Raises:
        BadSignature: it was not signed by one of these keys, or in another way than RSA2.
    """
    if fields.get(b"sign_type", ALGORITHM.encode()) != ALGORITHM.encode():
        raise BadSignature(f"the sign_type is not {ALGORITHM}")
    *others, last = notice_contents(fields)
    for content in others:
        try:
            return verify(keys, content, fields.get(b"sign"))
        except BadSignature:
            continue
    verify(keys, last, fields.get(b"sign"))


def verified_content(keys: KeyRing, content: bytes, signature: str | None) -> bytes:
    r"""The bytes of an answer's member that were signed; read these and no others.

    A serialiser may write `/` as `\/` after signing it as `/`; the official Java SDK tries both.

    Raises:
        BadSignature: neither was signed by one of these keys.
    """
    plain = content.replace(rb"\/", b"/")
    if plain != content:
        try:
            verify(keys, plain, signature)
        except BadSignature:
            pass
        else:
            return plain
    verify(keys, content, signature)
    return content
