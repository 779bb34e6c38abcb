"""Where a PostgreSQL database is: its URL, which may hold a password and is therefore never shown
whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """How to reach a database.

    Attributes:
        dsn: as the driver wants it, with the password.
        shown: the same without it, for people.
        is_pooled: PgBouncer in transaction mode stands in between.
        has_many_hosts: one of several servers is the primary.
    """

    dsn: str = field(repr=False)
    shown: str
    is_pooled: bool = False
    has_many_hosts: bool = False
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
            "pgbouncer must be `transaction`, or left out: session mode needs no mention"
        )
    kept = [(name, value) for name, value in query if name != "pgbouncer"]
    if any(name == "host" and not value for name, value in kept):
        raise ValueError("has an empty host")
    shown = f"{user}@" if user else ""
    open_words = urlencode([pair for pair in kept if pair[0] not in _SECRETS], quote_via=quote)
    tail = f"?{urlencode(kept, quote_via=quote)}" if kept else ""
    secrets = {password, unquote(password), *(v for name, v in kept if name in _SECRETS)}
    return PostgresUrl(
        dsn=f"postgresql://{parts.netloc}{parts.path}{tail}",
        shown=f"postgresql://{shown}{hosts}{parts.path}" + (f"?{open_words}" if open_words else ""),
        is_pooled=bool(modes),
        has_many_hosts="," in hosts or any(n == "host" and "," in v for n, v in kept),
        secrets=tuple(sorted((each for each in secrets if each), key=len, reverse=True)),
    )
