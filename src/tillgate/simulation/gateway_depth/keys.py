"""Keys of a world: real RSA in one world of a hundred, and a declared stand-in in the others.

A signature of 2048 bits costs 0.3 ms, a dozen of them more than all the rest of a payment. The
stand-in is a keyed hash in the same header, read by the same parser, so a changed byte, time, path
or key is still found out. It protects nothing outside a simulation: both sides hold one secret.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from hmac import compare_digest
from urllib.parse import quote

from tillgate.alipayplus.signing import (
    ALGORITHM,
    BadSignature,
    KeyRing,
    Signer,
    SigningKey,
    Verifier,
    content_to_sign,
    new_private_key,
    parse_signature_header,
)


class StandIn:
    """Signs and verifies with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _signature(self, path: str, client_id: str, time: str, body: bytes) -> bytes:
        return self.sign_content(content_to_sign(path, client_id, time, body))

    def sign_content(self, content: bytes) -> bytes:
        """As `SigningKey.sign_content`."""
        return hashlib.blake2b(content, key=self._secret, digest_size=32).digest()

    def verify_content(self, content: bytes, signature: bytes, version: int | None = None) -> None:
        """As `KeyRing.verify_content`."""
        if not compare_digest(signature, self.sign_content(content)):
            raise BadSignature("the signature does not fit these bytes and any key known here")

    def sign(self, path: str, client_id: str, time: str, body: bytes) -> str:
        """As `SigningKey.sign`."""
        signature = base64.b64encode(self._signature(path, client_id, time, body))
        return f"algorithm={ALGORITHM},keyVersion=1,signature={quote(signature, safe='')}"

    def verify(
        self, header: str | None, path: str, client_id: str, time: str | None, body: bytes
    ) -> None:
        """As `KeyRing.verify`."""
        parsed = parse_signature_header(header)
        if not time:
            raise BadSignature("there is no Request-Time or Response-Time header")
        if not compare_digest(parsed.signature, self._signature(path, client_id, time, body)):
            raise BadSignature("the signature does not fit these bytes and any key known here")


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs with what, and what they check each other with."""

    acquirer: Signer
    acquirer_ring: Verifier
    network: Signer
    network_ring: Verifier
    stranger: Signer


_ACQUIRER, _NETWORK = StandIn(b"the acquirer's"), StandIn(b"the network's")
STAND_INS = Keys(_ACQUIRER, _ACQUIRER, _NETWORK, _NETWORK, StandIn(b"a stranger's"))


@cache
def rsa_keys() -> Keys:
    """Real ones, made once per process. Nothing that a tape shows depends on them."""
    acquirer, network, stranger = (SigningKey.load(new_private_key()) for _ in range(3))
    return Keys(
        acquirer,
        KeyRing.load({1: acquirer.public_pem()}),
        network,
        KeyRing.load({1: network.public_pem()}),
        stranger,
    )
