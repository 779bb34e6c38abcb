"""What is sealed opens with its key, for its payment, whole; and with nothing else."""

from __future__ import annotations

import secrets

import pytest

from tillgate.gateway.sealing import CannotUnseal, Sealer

KEY, OTHER = bytes(32), bytes([1] * 32)


def test_what_was_sealed_opens():
    sealer = Sealer(KEY, secrets.token_bytes)
    assert sealer.unseal(sealer.seal(b"the request", "pay_1"), "pay_1") == b"the request"


def test_sealing_twice_never_gives_the_same_bytes():
    sealer = Sealer(KEY, secrets.token_bytes)
    assert sealer.seal(b"x", "pay_1") != sealer.seal(b"x", "pay_1")


@pytest.mark.parametrize("position", [0, 1, 12, 13, 20, -1])
def test_a_changed_byte_does_not_open(position):
    sealer = Sealer(KEY, secrets.token_bytes)
    sealed = bytearray(sealer.seal(b"the request", "pay_1"))
    sealed[position] ^= 1
    with pytest.raises(CannotUnseal):
        sealer.unseal(bytes(sealed), "pay_1")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(40)])
def test_what_was_never_sealed_does_not_open(sealed):
    with pytest.raises(CannotUnseal):
        Sealer(KEY, secrets.token_bytes).unseal(sealed, "pay_1")


def test_another_key_or_another_payment_does_not_open():
    sealed = Sealer(KEY, secrets.token_bytes).seal(b"the request", "pay_1")
    for key, payment in ((OTHER, "pay_1"), (KEY, "pay_2")):
        with pytest.raises(CannotUnseal):
            Sealer(key, secrets.token_bytes).unseal(sealed, payment)


def test_a_fingerprint_tells_codes_apart_and_needs_the_key():
    one, two = Sealer(KEY, secrets.token_bytes), Sealer(OTHER, secrets.token_bytes)
    assert one.fingerprint("28") == one.fingerprint("28")
    assert one.fingerprint("28") != one.fingerprint("29")
    assert one.fingerprint("28") != two.fingerprint("28")


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(bytes(size), secrets.token_bytes)
