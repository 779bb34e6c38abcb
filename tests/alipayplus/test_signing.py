import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from tillgate.alipayplus.signing import (
    BadKey,
    BadSignature,
    KeyRing,
    SignatureHeader,
    SigningKey,
    content_to_sign,
    new_private_key,
    parse_signature_header,
)

VECTORS = Path(__file__).parent.parent / "vectors"
CASES = json.loads((VECTORS / "signing.json").read_text())["cases"]
VALID = [case for case in CASES if case["valid"]]
PUBLIC = {who: (VECTORS / f"{who}-public.pem").read_bytes() for who in ("acquirer", "network")}
RINGS = {who: KeyRing.load({1: pem}) for who, pem in PUBLIC.items()}

KEY = SigningKey.load(new_private_key())
OTHER_KEY = SigningKey.load(new_private_key(), version=2)
RING = KeyRing.load({1: KEY.public_pem()})
PATH, CLIENT, TIME, BODY = "/aps/api/v1/payments/pay", "C1", "2026-01-31T23:59:59Z", b'{"a":"b"}'
HEADER = KEY.sign(PATH, CLIENT, TIME, BODY)
RAW = parse_signature_header(HEADER).signature


def header_of(signature, **more):
    parts = {"algorithm": "RSA256", "keyVersion": "1", **more}
    written = quote(base64.b64encode(signature), safe="")
    return ",".join(f"{name}={value}" for name, value in parts.items()) + f",signature={written}"


# The vectors, made with OpenSSL
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_is_valid_or_not_as_it_says(case):
    ring, body = RINGS[case["signed_by"]], base64.b64decode(case["body_base64"])
    given = (case["signature_header"], case["path"], case["client_id"], case["time"], body)
    if case["valid"]:
        ring.verify(*given)
    else:
        with pytest.raises(BadSignature):
            ring.verify(*given)


@pytest.mark.parametrize("case", VALID, ids=[case["name"] for case in VALID])
def test_the_content_is_made_of_the_exact_bytes(case):
    body = base64.b64decode(case["body_base64"])
    content = content_to_sign(case["path"], case["client_id"], case["time"], body)
    assert content == base64.b64decode(case["content_base64"])


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_we_sign_verifies(case):
    body = base64.b64decode(case["body_base64"])
    header = KEY.sign(case["path"], case["client_id"], case["time"], body)
    RING.verify(header, case["path"], case["client_id"], case["time"], body)
    with pytest.raises(BadSignature):
        RINGS["network"].verify(header, case["path"], case["client_id"], case["time"], body)


def test_the_header_is_written_as_the_docs_show_it():
    assert HEADER.startswith("algorithm=RSA256,keyVersion=1,signature=")
    value = HEADER.partition("signature=")[2]
    assert not set(value) & set("+/= ")
    assert OTHER_KEY.sign(PATH, CLIENT, TIME, BODY).startswith("algorithm=RSA256,keyVersion=2,")


# One bit
# -------------------------------------------------------------------------------------------------


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def flipped_text(text, bit):
    return flipped(text.encode(), bit % 7 + bit // 7 * 8).decode()


def test_the_untouched_message_verifies():
    RING.verify(HEADER, PATH, CLIENT, TIME, BODY)
    RING.verify(header_of(RAW), PATH, CLIENT, TIME, BODY)


@given(st.integers(0, 8 * len(BODY) - 1))
def test_a_flipped_bit_of_the_body_is_refused(bit):
    with pytest.raises(BadSignature):
        RING.verify(HEADER, PATH, CLIENT, TIME, flipped(BODY, bit))


@given(st.integers(0, 8 * 256 - 1))
def test_a_flipped_bit_of_the_signature_is_refused(bit):
    with pytest.raises(BadSignature):
        RING.verify(header_of(flipped(RAW, bit)), PATH, CLIENT, TIME, BODY)


@given(st.integers(0, 7 * len(TIME) - 1))
def test_a_flipped_bit_of_the_time_is_refused(bit):
    with pytest.raises(BadSignature):
        RING.verify(HEADER, PATH, CLIENT, flipped_text(TIME, bit), BODY)


@given(st.integers(0, 7 * len(CLIENT) - 1))
def test_a_flipped_bit_of_the_client_is_refused(bit):
    with pytest.raises(BadSignature):
        RING.verify(HEADER, PATH, flipped_text(CLIENT, bit), TIME, BODY)


@given(st.integers(0, 7 * len(PATH) - 1))
def test_a_flipped_bit_of_the_path_is_refused(bit):
    with pytest.raises(BadSignature):
        RING.verify(HEADER, flipped_text(PATH, bit), CLIENT, TIME, BODY)


@given(st.binary(max_size=300))
def test_any_body_round_trips(body):
    RING.verify(KEY.sign(PATH, CLIENT, TIME, body), PATH, CLIENT, TIME, body)


@pytest.mark.parametrize("time", [None, ""])
def test_a_message_without_its_time_is_refused(time):
    with pytest.raises(BadSignature, match="Time header"):
        RING.verify(HEADER, PATH, CLIENT, time, BODY)


# The header
# -------------------------------------------------------------------------------------------------

VALUE = HEADER.partition("signature=")[2]
TOLERATED = {
    "spaces after commas": f"algorithm=RSA256, keyVersion=1, signature={VALUE}",
    "spaces around everything": f"  algorithm = RSA256 , keyVersion = 1 , signature = {VALUE}  ",
    "another order": f"signature={VALUE},keyVersion=1,algorithm=RSA256",
    "no keyVersion": f"algorithm=RSA256,signature={VALUE}",
    "an empty keyVersion": f"algorithm=RSA256,keyVersion=,signature={VALUE}",
    "a keyVersion that nobody knows": f"algorithm=RSA256,keyVersion=77,signature={VALUE}",
    "keyVersion 0": f"algorithm=RSA256,keyVersion=0,signature={VALUE}",
    "a time as keyVersion": f"algorithm=RSA256,keyVersion=20260131120000,signature={VALUE}",
    "names in another case": f"Algorithm=RSA256,KEYVERSION=1,Signature={VALUE}",
    "lower-case percent-encoding": "algorithm=RSA256,keyVersion=1,signature="
    + "%".join(p[:2].lower() + p[2:] if i else p for i, p in enumerate(VALUE.split("%"))),
    "raw base64": "algorithm=RSA256,keyVersion=1,signature=" + base64.b64encode(RAW).decode(),
    "a comma at the end": f"algorithm=RSA256,keyVersion=1,signature={VALUE},",
}


@pytest.mark.parametrize("header", TOLERATED.values(), ids=TOLERATED.keys())
def test_a_header_is_read_with_tolerance(header):
    RING.verify(header, PATH, CLIENT, TIME, BODY)


@pytest.mark.parametrize("part", ["nonce=1", "keyVersioo=1", "x"])
def test_a_header_with_a_part_that_nobody_knows_is_refused(part):
    """A flipped byte in a part's name must not turn it into one that is left out."""
    with pytest.raises(BadSignature):
        RING.verify(f"algorithm=RSA256,{part},signature={VALUE}", PATH, CLIENT, TIME, BODY)


@given(st.integers(0, 2**32))
def test_a_plus_sign_of_raw_base64_stays_a_plus_sign(number):
    signature = b"\xfb\xef\xbe" + number.to_bytes(5, "big")
    raw = base64.b64encode(signature).decode()
    assert raw.startswith("++++")
    header = f"algorithm=RSA256,signature={raw}"
    assert parse_signature_header(header) == SignatureHeader(None, signature)


HOSTILE = {
    "nothing": None,
    "an empty text": "",
    "no parts": "RSA256",
    "only commas": "," * 100_000,
    "many parts": "a=b," * 100_000,
    "huge": f"algorithm=RSA256,keyVersion=1,signature={'A' * 1_000_000}",
    "huge percent signs": f"algorithm=RSA256,keyVersion=1,signature={'%' * 1_000_000}",
    "no algorithm": f"keyVersion=1,signature={VALUE}",
    "another algorithm": f"algorithm=RSA512,keyVersion=1,signature={VALUE}",
    "no algorithm at all": f"algorithm=none,keyVersion=1,signature={VALUE}",
    "ECC256": f"algorithm=ECC256,keyVersion=1,signature={VALUE}",
    "no signature": "algorithm=RSA256,keyVersion=1",
    "an empty signature": "algorithm=RSA256,keyVersion=1,signature=",
    "no base64": "algorithm=RSA256,keyVersion=1,signature=!!!!",
    "broken padding": "algorithm=RSA256,keyVersion=1,signature=AAAAA",
    "non-ASCII": f"algorithm=RSA256,keyVersion=1,signature={VALUE}é",
    "percent-encoded non-ASCII": "algorithm=RSA256,keyVersion=1,signature=%FF%FE",
    "a lone surrogate": "algorithm=RSA256,keyVersion=1,signature=\udcff",
    "a negative keyVersion": f"algorithm=RSA256,keyVersion=-1,signature={VALUE}",
    "a superscript keyVersion": f"algorithm=RSA256,keyVersion=²,signature={VALUE}",
    "an arabic-indic keyVersion": f"algorithm=RSA256,keyVersion=٢,signature={VALUE}",
    "a decimal keyVersion": f"algorithm=RSA256,keyVersion=1.0,signature={VALUE}",
    "a huge keyVersion": f"algorithm=RSA256,keyVersion={'9' * 5000},signature={VALUE}",
    "two signatures": f"algorithm=RSA256,keyVersion=1,signature={VALUE},signature=AAAA",
    "a short signature": "algorithm=RSA256,keyVersion=1,signature=AAAA",
    "a zero signature": header_of(b"\x00" * 256),
    "a signature of ones": header_of(b"\xff" * 256),
    "a longer signature": header_of(b"\x00" + RAW),
    "line breaks": "algorithm=RSA256,\r\nkeyVersion=1,signature=AA\r\nAA",
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_a_bad_signature_and_nothing_else(header):
    with pytest.raises(BadSignature):
        RING.verify(header, PATH, CLIENT, TIME, BODY)


@given(st.one_of(st.text(), st.text("=,%RSA256algorithmkeyVersionsignature+/0 \n")))
def test_any_text_is_a_header_or_a_bad_signature(text):
    with pytest.raises(BadSignature):
        RING.verify(text, PATH, CLIENT, TIME, BODY)


@pytest.mark.parametrize("field", ["path", "client", "time"])
@pytest.mark.parametrize("text", ["\udcff", "é", "\x00", "x" * 100_000])
def test_a_hostile_field_is_a_bad_signature_and_nothing_else(field, text):
    """HTTP clients hand over bytes that are no UTF-8 as lone surrogates (aiohttp does)."""
    fields = {"path": PATH, "client": CLIENT, "time": TIME, field: text}
    with pytest.raises(BadSignature):
        RING.verify(HEADER, fields["path"], fields["client"], fields["time"], BODY)


# Keys
# -------------------------------------------------------------------------------------------------


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_der(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


RSA = serialization.load_pem_private_key(new_private_key(), password=None)
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
PRIVATE_FORMS = {
    "PKCS#8 PEM": private_pem(RSA),
    "PKCS#1 PEM": RSA.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ),
    "base64 DER": base64.b64encode(
        RSA.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ),
    "PEM with text before it": b"Key of the sandbox\n" + private_pem(RSA),
    "base64 DER in lines": base64.encodebytes(
        RSA.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ),
}


@pytest.mark.parametrize("text", PRIVATE_FORMS.values(), ids=PRIVATE_FORMS.keys())
def test_a_private_key_is_read_in_every_usual_form(text):
    key = SigningKey.load(text, version=3)
    assert key.version == 3
    ring = KeyRing.load({3: base64.b64encode(public_der(RSA))})
    ring.verify(key.sign(PATH, CLIENT, TIME, BODY), PATH, CLIENT, TIME, BODY)


# An X.509 and a PKCS#8 structure, well formed, of an algorithm that does not exist (OID 1.2.3.4).
ODD_PUBLIC = base64.b64encode(bytes.fromhex("300d300506032a0304030400616263"))
ODD_PRIVATE = base64.b64encode(bytes.fromhex("300f020100300506032a03040403616263"))
ENCRYPTED = RSA.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.BestAvailableEncryption(b"secret"),
)
BAD_KEYS = {
    "nothing": b"",
    "words": b"not a key",
    "base64 of nothing": base64.b64encode(b"abc"),
    "bytes": b"\xff\xfe",
    "an empty PEM": b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    "half a PEM": private_pem(RSA)[:200],
    "a certificate's name": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}
BAD_PRIVATE = BAD_KEYS | {
    "1024 bits": private_pem(SMALL),
    "an elliptic curve": private_pem(ec.generate_private_key(ec.SECP256R1())),
    "Ed25519": private_pem(ed25519.Ed25519PrivateKey.generate()),
    "a password": ENCRYPTED,
    "a public key": PUBLIC["network"],
    "an algorithm that does not exist": ODD_PRIVATE,
}
BAD_PUBLIC = BAD_KEYS | {
    "1024 bits": base64.b64encode(public_der(SMALL)),
    "an elliptic curve": base64.b64encode(public_der(ec.generate_private_key(ec.SECP256R1()))),
    "Ed25519": base64.b64encode(public_der(ed25519.Ed25519PrivateKey.generate())),
    "a private key": private_pem(RSA),
    "an algorithm that does not exist": ODD_PUBLIC,
}


@pytest.mark.parametrize("text", BAD_PRIVATE.values(), ids=BAD_PRIVATE.keys())
def test_a_bad_private_key_is_refused_and_never_repeated(text):
    with pytest.raises(BadKey) as refusal:
        SigningKey.load(text)
    assert not text or text.decode("latin-1") not in str(refusal.value)


@pytest.mark.parametrize("text", BAD_PUBLIC.values(), ids=BAD_PUBLIC.keys())
def test_a_bad_public_key_is_refused(text):
    with pytest.raises(BadKey):
        KeyRing.load({1: PUBLIC["network"], 2: text})


def test_a_ring_without_keys_is_refused():
    with pytest.raises(BadKey):
        KeyRing.load({})


def test_a_fresh_key_has_2048_bits():
    key = serialization.load_pem_private_key(new_private_key(), password=None)
    assert key.key_size == 2048
    assert new_private_key() != new_private_key()


# Rotation
# -------------------------------------------------------------------------------------------------

BOTH = KeyRing.load({1: KEY.public_pem(), 2: OTHER_KEY.public_pem()})


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["old", "new"])
@pytest.mark.parametrize("version", ["0", "1", "2", "9", ""])
def test_while_keys_are_changed_both_verify_whatever_version_is_named(key, version):
    signature = parse_signature_header(key.sign(PATH, CLIENT, TIME, BODY)).signature
    BOTH.verify(header_of(signature, keyVersion=version), PATH, CLIENT, TIME, BODY)


def test_a_key_that_left_the_ring_verifies_no_more():
    with pytest.raises(BadSignature):
        KeyRing.load({2: OTHER_KEY.public_pem()}).verify(HEADER, PATH, CLIENT, TIME, BODY)


def test_a_strangers_key_never_verifies():
    stranger = SigningKey.load(new_private_key())
    with pytest.raises(BadSignature):
        BOTH.verify(stranger.sign(PATH, CLIENT, TIME, BODY), PATH, CLIENT, TIME, BODY)


def test_no_form_of_a_key_shows_it():
    assert "BEGIN" not in f"{KEY!r} {KEY} {RING!r}"
