"""Where webhooks may be sent: which addresses a merchant may name, and which machines they may
stand for.

A merchant chooses where this process connects to; nothing of ours or of our neighbours may be
within reach (server-side request forgery). Refused is what is not plainly a public address.
Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries; Standard Webhooks 1.0.0,
"Server side request forgery".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

URL_LENGTH_MAX = 2048
"""What browsers and servers agree to take; keeps an index entry short."""
HTTPS_PORT, HTTP_PORT = 443, 80
PORT_MIN = 1024
"""Below it only the scheme's own port: mail, shells and name servers live there."""

_NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers' customers (CGNAT)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; clouds tell secrets there
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
"""All that is given out. Loopback, mapped and translated IPv4 (NAT64), private, link-local and
multicast lie outside.
"""
_NOT_PUBLIC_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address inside
            "3fff::/20",  # documentation
        ),
    )
)
_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
"""What a developer's receiver may have: never link-local, where clouds tell secrets."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
_LOOKS_LIKE_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)
"""How WHATWG's URL standard knows a host that it reads as IPv4: `127.1`, `2130706433`, `0x7f.1`."""


class AddressRefused(ValueError):
    """Nothing is sent there. The message says why, for the merchant."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an address names. `ip` is None where the host is a name that has to be looked up."""

    host: str
    port: int
    ip: IpAddress | None


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What is allowed. `allows_local` is for development: http, loopback and private networks,
    too.
    """

    allows_local: bool = False

    def target(self, url: str) -> Target:
        """Read an address that a merchant named.

        Raises:
            AddressRefused: it is not one that may be sent to.
        """
        if len(url) > URL_LENGTH_MAX:
            raise AddressRefused(f"An address has at most {URL_LENGTH_MAX} characters.")
        if not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
            raise AddressRefused("An address holds visible ASCII only; write a name as xn--...")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise AddressRefused("This is no address.") from None
        if parts.scheme != "https" and not (self.allows_local and parts.scheme == "http"):
            raise AddressRefused("Only https addresses are sent to.")
        if "@" in parts.netloc:
            raise AddressRefused("An address holds no user name and no password.")
        if "#" in url:
            raise AddressRefused("An address holds no fragment (#).")
        usual = HTTPS_PORT if parts.scheme == "https" else HTTP_PORT
        port = usual if port is None else port
        if port != usual and port < PORT_MIN:
            raise AddressRefused(f"The port is {usual}, or {PORT_MIN} and above.")
        ip = _literal(host, is_bracketed="[" in parts.netloc)
        if ip is not None:
            self.check(ip)
        return Target(host, port, ip)

    def check(self, ip: IpAddress) -> None:
        """Let one machine's address pass.

        Raises:
            AddressRefused: it is not one that may be sent to.
        """
        if not (is_public(ip) or (self.allows_local and is_local(ip))):
            raise AddressRefused("It leads to an address that is not public.")


def is_public(ip: IpAddress) -> bool:
    """Whether it is a machine on the internet, and plainly so: no address with another inside."""
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    if ip.scope_id is not None or ip not in _GLOBAL_6:
        return False
    return not any(ip in network for network in _NOT_PUBLIC_6)


def is_local(ip: IpAddress) -> bool:
    """Whether it is this machine or a private network."""
    return any(ip in network for network in _LOCAL if network.version == ip.version)


def _literal(host: str, *, is_bracketed: bool) -> IpAddress | None:
    """The host as an IP address, or None for a name."""
    if is_bracketed:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            raise AddressRefused("This is no IPv6 address.") from None
    if _LOOKS_LIKE_A_NUMBER.fullmatch(host):
        try:
            # Four decimal numbers without leading zeros, and nothing else.
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise AddressRefused("Write an IPv4 address as four decimal numbers.") from None
    if len(host) > 253 or not _NAME.fullmatch(host.removesuffix(".")):
        raise AddressRefused("This is no host name.")
    return None
