"""What a dialect is in bytes: how a world's wire reads, writes, signs and spoils it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from tillgate.clock import Clock
from tillgate.connectors import Connector, NotifyAnswer, NotifyCall
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.routing_table import Integrations
from tillgate.sandbox.network import Network
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.speech import Leg
from tillgate.simulation.stage import Case
from tillgate.transport import Reply, Transport

App = Callable[[Any, Any, Any], Awaitable[None]]
FORGERIES = ("stranger", "changed", "unsigned", "client", "path")


class Headers(dict[str, str]):
    """Names in any case, as an HTTP client gives them."""

    def get(self, name: str, default: Any = None) -> Any:
        """See `dict.get`."""
        return super().get(name.lower(), default)


class Tongue(Protocol):
    """A dialect, in bytes.

    Attributes:
        dialect: its values.
        integrations: what the acquirer is connected to, so that its codes go this way.
        has_times: whether an answer says when it was given.
        asks_twice: whether a cancel or a refund may be followed by a query of its own.
    """

    dialect: Any
    integrations: Integrations
    has_times: bool
    asks_twice: bool

    def connector(
        self, transport: Transport, keys: Keys, clock: Clock, policy: Policy, client: Any
    ) -> Connector:
        """The gateway's own, over this transport."""
        ...

    def app(
        self, network: Network, keys: Keys, clock: Clock, after_each: Callable[[], None]
    ) -> App:
        """The sandbox's ASGI application over this network."""
        ...

    def read(self, path: str, body: bytes, timeout_s: float) -> tuple[Leg, bytes]:
        """A request, and of it what must be the same each time it is sent."""
        ...

    def with_bad_signature(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """The same request, signed by nobody."""
        ...

    def confirms_cancel(self, leg: Leg, body: bytes) -> bool:
        """Whether these bytes say that it is cancelled."""
        ...

    def unsigned(self, leg: Leg, code: str) -> Reply:
        """A refusal that nobody signed."""
        ...

    def signed(self, leg: Leg, path: str, message: Any, key: Any, at: datetime) -> Reply:
        """An answer, signed with this key at that time."""
        ...

    def message_of(self, leg: Leg, reply: Reply) -> Any:
        """The message in a genuine answer."""
        ...

    def with_id(self, message: Any, payment_id: str) -> Any:
        """A success under somebody else's id."""
        ...

    def lie(self, leg: Leg, amount: Money) -> Any:
        """A success that nobody may believe."""
        ...

    def notify_call(self, told: Any, keys: Keys, at: datetime) -> NotifyCall:
        """A notification as it travels."""
        ...

    def forged(self, told: Any, amount: Money, how: str, keys: Keys, at: datetime) -> NotifyCall:
        """A lie in the network's name, in one of the ways of `FORGERIES`."""
        ...

    def check_acknowledged(self, answer: NotifyAnswer, keys: Keys, case: Case) -> None:
        """Whoever acknowledges says so as the network wants it.

        Raises:
            Violated: it does not.
        """
        ...

    def amount_told(self, told: Any) -> Money | None:
        """What a notification says was paid."""
        ...

    def is_paid(self, told: Any) -> bool:
        """Whether it tells of a success."""
        ...

    def of_nobody(self) -> Any:
        """A success of a payment that is not ours."""
        ...
