"""Where a PostgreSQL database is: its URL, which may hold a password and is therefore never shown
whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_PRIMARY = ("read-write", "primary")

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """How to reach a database.

    Attributes:
        dsns: as the driver wants it, with the password; one for each server where the URL names
            several, of which one is the primary.
        shown: the whole without the password, for people.
        is_pooled: a pooler such as PgBouncer stands in between, or may: nothing is prepared by
            name, and each transaction brings its settings.
        files: of certificates, keys and passwords, by the parameter that names them.
    """

    dsns: tuple[str, ...] = field(repr=False)
    shown: str
    is_pooled: bool = False
    files: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.shown

    def without_secrets(self, text: str) -> str:
        """A text of others, such as a driver's error, without the password."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read_postgres_url(text: str) -> PostgresUrl:
    """Read `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?...` with libpq's parameters and ours.

    Raises:
        ValueError: why it cannot be one, without a word of it.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in _SCHEMES or not text.startswith(f"{parts.scheme}://"):
        raise ValueError("must begin with postgresql://")
    if parts.fragment:
        raise ValueError("has a # in it: write it as %23")
    account, _, hosts = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    modes = [value for name, value in query if name == "pgbouncer"]
    if any(mode != "transaction" for mode in modes):
        raise ValueError(
            "pgbouncer must be `transaction`, or left out: a pooler is noticed without it"
        )
    kept = [(name, value) for name, value in query if name != "pgbouncer"]
    if any(name == "target_session_attrs" and value not in _PRIMARY for name, value in kept):
        raise ValueError(
            "target_session_attrs must be `read-write`, or left out: the gateway writes"
        )
    shown = f"{user}@" if user else ""
    open_words = urlencode([pair for pair in kept if pair[0] not in _SECRETS], quote_via=quote)
    secrets = {password, unquote(password), *(v for name, v in kept if name in _SECRETS)}
    return PostgresUrl(
        dsns=tuple(
            f"postgresql://{account}@{host}{parts.path}" + _tail(pairs)
            if account
            else f"postgresql://{host}{parts.path}" + _tail(pairs)
            for host, pairs in _each_host(hosts, kept)
        ),
        shown=f"postgresql://{shown}{hosts}{parts.path}" + (f"?{open_words}" if open_words else ""),
        is_pooled=bool(modes),
        files=tuple((name, value) for name, value in kept if name in _FILES),
        secrets=tuple(sorted((each for each in secrets if each), key=len, reverse=True)),
    )


def _each_host(hosts: str, kept: Pairs) -> list[tuple[str, Pairs]]:
    """What stands for one server in the URL's host and in its parameters, for each of them."""
    if hosts:
        named = hosts.split(",")
        if not all(named):
            raise ValueError("has an empty host")
        return [(host, kept) for host in named]
    others = [pair for pair in kept if pair[0] not in ("host", "port")]
    given = dict(kept)
    named = given.get("host", "").split(",")
    ports = given["port"].split(",") if "port" in given else []
    if "host" in given and not all(named):
        raise ValueError("has an empty host")
    if len(ports) not in (0, 1, len(named)):
        raise ValueError("must have one port, or one for each host")
    found = []
    for number, host in enumerate(named):
        place = [("host", host)] if host else []
        place += [("port", ports[number % len(ports)])] if ports else []
        found.append(("", others + place))
    return found


def _tail(pairs: Pairs) -> str:
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
