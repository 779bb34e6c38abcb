"""The demonstration signs people in by itself: on this machine only, and never where money is real.

Whoever sits at this machine has the demonstration's keys anyway. Another machine, a page that had
its name point here, and another origin have none of it.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from tillgate.clock import Clock
from tillgate.core.access import Role
from tillgate.core.errors import AlreadyThere
from tillgate.gateway.people import People, SignedIn
from tillgate.gateway.registry import Registry
from tillgate.ids import new_id
from tillgate.store import Store
from tillgate.store.accounts import Account, add_account, load_account
from tillgate.store.registry import Act

UNUSABLE_HASH = "!"
"""No hash: nobody signs in with one."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class DemoSignIn:
    """Signs in as one account, which it makes."""

    def __init__(
        self,
        store: Store,
        people: People,
        registry: Registry,
        clock: Clock,
        name: str,
        *roles: Role,
    ) -> None:
        self._store = store
        self._people = people
        self._registry = registry
        self._clock = clock
        self._name = name
        self._roles = frozenset(roles)

    async def __call__(self, request: Request) -> SignedIn | None:
        """See `sign_in.SignsInItself`."""
        if not is_here(request):
            return None
        account = await load_account(self._store, self._name) or await self._made()
        if account is None or account.is_closed:
            return None
        return await self._people.sign_in_as(account, "127.0.0.1")

    async def _made(self) -> Account | None:
        now = self._clock.now()
        place: tuple[str | None, str | None, str | None] = (None, None, None)
        if Role.OPERATOR not in self._roles:
            places = (
                (merchant.id, store.id, terminal)
                for merchant in self._registry.merchants.values()
                for store in merchant.stores.values()
                for terminal in store.terminals
            )
            place = next(places, place)
        account = Account(
            account_id=new_id("acc", now),
            name=self._name,
            password_hash=UNUSABLE_HASH,
            roles=self._roles,
            merchant_id=place[0],
            store_id=place[1],
            terminal_id=place[2],
            created_at=now,
        )
        act = Act(at=now, key_id="", operator_id="", address="")
        try:
            await add_account(self._store, account, act)
        except AlreadyThere:  # two pages were opened at once
            return await load_account(self._store, self._name)
        return account


def is_here(request: Request) -> bool:
    """Whether this very machine asks, under its own name, and no page of another origin."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return False
    if "forwarded" in request.headers or "x-forwarded-for" in request.headers:
        return False  # somebody else's, through a proxy on this machine
    is_local_name = urlsplit(f"//{host}").hostname in LOCAL_NAMES
    return (
        is_local_name and request.client is not None and ip_address(request.client.host).is_loopback
    )
