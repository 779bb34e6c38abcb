"""Which addresses a merchant may name: the whole table as literals."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.webhook_address import AddressPolicy, AddressRefused, Target, is_local, is_public

STRICT, LOCAL = AddressPolicy(), AddressPolicy(allows_local=True)

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2001:200::1",
]
LOCALS = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2606:4700::1%eth0",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_pass(text):
    ip = ipaddress.ip_address(text)
    assert is_public(ip)
    STRICT.check(ip)
    assert STRICT.target(_url(text)).ip == ip


@pytest.mark.parametrize("text", LOCALS)
def test_this_machine_and_private_networks_pass_in_development_only(text):
    ip = ipaddress.ip_address(text)
    assert is_local(ip)
    assert LOCAL.target(_url(text)).ip == ip
    with pytest.raises(AddressRefused):
        STRICT.check(ip)
    with pytest.raises(AddressRefused):
        STRICT.target(_url(text))


@pytest.mark.parametrize("policy", [STRICT, LOCAL])
@pytest.mark.parametrize("text", NEVER)
def test_all_else_is_refused_always(text, policy):
    with pytest.raises(AddressRefused):
        policy.check(ipaddress.ip_address(text))
    with pytest.raises(AddressRefused):
        policy.target(_url(text))


@given(st.ip_addresses())
def test_no_address_is_public_that_python_calls_private(ip):
    if is_public(ip):
        assert ip.is_global
        assert not any((ip.is_private, ip.is_multicast, ip.is_reserved, ip.is_link_local))


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_inside_another_one_passes(ip):
    number = int(ip)
    for inside in (
        ipaddress.IPv6Address(number),
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x0064FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
        ipaddress.IPv6Address((0x20010000 << 96) | (number << 64)),
    ):
        assert not is_public(inside)


def _url(address: str) -> str:
    return f"https://[{address}]/hook" if ":" in address else f"https://{address}/hook"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/hook", Target("shop.example", 443, None)),
        ("https://shop.example", Target("shop.example", 443, None)),
        ("https://shop.example:443/", Target("shop.example", 443, None)),
        ("https://Shop.Example:8443/a?b=c", Target("shop.example", 8443, None)),
        ("https://shop.example./", Target("shop.example.", 443, None)),
        ("https://xn--wgv71a.example/", Target("xn--wgv71a.example", 443, None)),
        ("https://a_b.example:65535/", Target("a_b.example", 65535, None)),
        ("https://localhost/", Target("localhost", 443, None)),  # its addresses are refused
    ],
)
def test_good_addresses(url, expected):
    assert STRICT.target(url) == expected


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://shop.example/", "https"),
        ("HTTP://shop.example/", "https"),
        ("ftp://shop.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("//shop.example/", "https"),
        ("shop.example", "https"),
        ("", "visible"),
        ("https://", "host"),
        ("https:///hook", "host"),
        ("https://:443/", "host"),
        ("https://user@shop.example/", "user"),
        ("https://user:word@shop.example/", "user"),
        ("https://@shop.example/", "user"),
        ("https://shop.example/#a", "fragment"),
        ("https://shop.example/#", "fragment"),
        ("https://shop.example:0/", "port"),
        ("https://shop.example:25/", "port"),
        ("https://shop.example:80/", "port"),
        ("https://shop.example:1023/", "port"),
        ("https://shop.example:65536/", "no address"),
        ("https://shop.example:abc/", "no address"),
        ("https://shop.example:-1/", "no address"),
        ("https://2130706433/", "four decimal"),
        ("https://127.1/", "four decimal"),
        ("https://0177.0.0.1/", "four decimal"),
        ("https://0x7f000001/", "four decimal"),
        ("https://0x7f.0.0.1/", "four decimal"),
        ("https://8.8.8.08/", "four decimal"),
        ("https://8.8.8.8./", "four decimal"),
        ("https://1.2.3.4.5/", "four decimal"),
        ("https://a.0x/", "four decimal"),
        ("https://[::1/", "no address"),
        ("https://[v1.a]/", "no"),
        ("https://[1.2.3.4]/", "no"),
        ("https://shop..example/", "host name"),
        ("https://.example/", "host name"),
        ("https://-a.example/", "host name"),
        ("https://shop%2eexample/", "host name"),
        ("https://" + "a" * 64 + ".example/", "host name"),
        ("https://" + "a." * 130 + "example/", "host name"),
        ("https://shop.example/\n", "visible"),
        ("https://shop.example/ a", "visible"),
        ("https://shop.example\\@127.0.0.1/", "visible"),
        ("https://日本.example/", "visible"),
        ("https://１２７.0.0.1/", "visible"),
        ("https://shop.example/" + "a" * 2048, "characters"),
    ],
)
def test_bad_addresses_are_refused_with_a_reason(url, says):
    with pytest.raises(AddressRefused, match=says):
        STRICT.target(url)


def test_development_takes_http_on_its_usual_and_on_high_ports():
    assert LOCAL.target("http://localhost:9000/hook") == Target("localhost", 9000, None)
    assert LOCAL.target("http://localhost/hook").port == 80
    with pytest.raises(AddressRefused):
        LOCAL.target("http://localhost:22/")
    with pytest.raises(AddressRefused):
        LOCAL.target("ftp://localhost/")
