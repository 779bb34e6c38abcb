"""The customers, as testers handle them: codes on their screens, what they have, and what their
wallet asks of them. The answer of `POST /sandbox/codes` is the only place that shows whole codes.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.clock import Clock
from tillgate.core.codes import CodeKind
from tillgate.sandbox.codes import CN_HK_WALLETS, ISSUED_KINDS, LENGTHS
from tillgate.sandbox.control_words import (
    BadField,
    NotThere,
    body_of,
    json_answer,
    read_as,
    time_words,
)
from tillgate.sandbox.plays import PLAYS, Words
from tillgate.sandbox.town import Town
from tillgate.sandbox.wallets import BALANCE_MAX, Conditions, Customer, Status, Wallet, Wallets

BODY_BYTES_MAX = 4096
DEFAULT_WALLET = "kakaopay"
CODES_MAX = 10
"""Source: Alipay+ getPaymentCode, `codeQuantity`: 1 to 10."""

Minor = Annotated[int, Meta(ge=0, le=BALANCE_MAX)]
Limit = Minor | None | UnsetType


class CodeRequest(Words, frozen=True):
    """Whose code, which kind, and how long where that is open.

    Attributes:
        count: so many at once, as a wallet fetches them ahead; the answer lists them then.
        revoke: the customer's earlier codes are good no more.
    """

    wallet: str | None = None
    customer: str | None = None
    kind: str = CodeKind.CGCP.value
    length: int | None = None
    play: str | None = None
    count: Annotated[int, Meta(ge=1, le=CODES_MAX)] | None = None
    revoke: bool = False


class CustomerChange(Words, frozen=True):
    """What is to be otherwise with a customer from now on; null ends a limit, a PIN, a play.

    Attributes:
        balance: minor units of the wallet's currency, as if the customer had got the difference.
    """

    balance: Minor | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    is_kyc_done: bool | UnsetType = UNSET
    limit_each: Limit = UNSET
    limit_day: Limit = UNSET
    count_day: Limit = UNSET
    confirm_above: Limit = UNSET
    pin: Annotated[str, Meta(pattern="^[0-9]{4,8}$")] | UnsetType | None = UNSET
    play: str | UnsetType | None = UNSET


_CODE_REQUESTS = msgspec.json.Decoder(CodeRequest)
_CHANGES = msgspec.json.Decoder(CustomerChange)


class CustomersApi:
    """The routes, with what they need."""

    def __init__(self, town: Town, wallets: Wallets, clock: Clock) -> None:
        self._town = town
        self._wallets = wallets
        self._clock = clock

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/sandbox/codes", self.issue_codes, methods=["POST"]),
            Route("/sandbox/wallets", self.show_wallets, methods=["GET"]),
            Route("/sandbox/customers/{customer_id}", self.change, methods=["PATCH"]),
        ]

    async def issue_codes(self, request: Request) -> Response:
        """One fresh code on a customer's screen, or several."""
        asked = read_as(_CODE_REQUESTS, await body_of(request, BODY_BYTES_MAX) or b"{}")
        kind, wallet, customer = self._checked(asked)
        now = self._clock.now()
        if asked.revoke:
            self._town.codes.revoke(customer, now)
        issued = [
            self._town.codes.issue(customer, wallet, kind, now, asked.length, asked.play)
            for _ in range(asked.count or 1)
        ]
        whose = {"kind": kind, "wallet": wallet.id, "customer": customer.id}
        rows = [{"code": one.code, "expires_at": time_words(one.expires_at)} for one in issued]
        return json_answer(whose | (rows[0] if asked.count is None else {"codes": rows}), 201)

    async def show_wallets(self, request: Request) -> Response:
        """Wallets, customers and what they have left."""
        return json_answer({"wallets": [self._wallet_words(each) for each in self._wallets.all]})

    async def change(self, request: Request) -> Response:
        """Another balance, status, limit; all of it or nothing."""
        customer = self._wallets.customer(request.path_params["customer_id"])
        if customer is None:
            raise NotThere("There is no such customer: GET /sandbox/wallets lists them.")
        asked = read_as(_CHANGES, await body_of(request, BODY_BYTES_MAX))
        if isinstance(asked.play, str) and asked.play not in PLAYS:
            raise BadField("There is no such play: GET /sandbox/plays lists them.", path="$.play")
        words = {name: said for name, said in structs.asdict(asked).items() if said is not UNSET}
        balance = words.pop("balance", None)
        self._town.change(customer.id, words)
        if balance is not None:
            self._town.ledger.set_balance(customer.id, balance)
        return json_answer(customer_words(customer, self._town))

    def _checked(self, asked: CodeRequest) -> tuple[CodeKind, Wallet, Customer]:
        if asked.kind not in ISSUED_KINDS:
            kinds = " or ".join(ISSUED_KINDS)
            raise BadField(f"The kind must be {kinds}.", path="$.kind")
        kind = CodeKind(asked.kind)
        lengths = LENGTHS[kind]
        if asked.length is not None and asked.length not in lengths:
            words = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
            raise BadField(f"A code of this kind has {words} digits.", path="$.length")
        if asked.play is not None and asked.play not in PLAYS:
            raise BadField("There is no such play: GET /sandbox/plays lists them.", path="$.play")
        wallet, customer = self._holder(asked)
        if kind is CodeKind.ALIPAY_CN_HK and wallet.id not in CN_HK_WALLETS:
            raise BadField("Only AlipayCN and AlipayHK show such codes.", path="$.kind")
        if kind is CodeKind.ALIPAY_CN_HK and asked.length == 16 and wallet.id != "alipay_cn":
            raise BadField("A code of AlipayHK has 17 to 19 digits.", path="$.length")
        return kind, wallet, customer

    def _holder(self, asked: CodeRequest) -> tuple[Wallet, Customer]:
        if asked.customer is not None:
            customer = self._wallets.customer(asked.customer)
            if customer is None or asked.wallet not in (None, customer.wallet_id):
                raise BadField("There is no such customer in this wallet.", path="$.customer")
            wallet = self._wallets.wallet(customer.wallet_id)
            assert wallet is not None
            return wallet, customer
        default = "alipay_cn" if asked.kind == CodeKind.ALIPAY_CN_HK else DEFAULT_WALLET
        wallet = self._wallets.wallet(asked.wallet or default)
        if wallet is None and asked.wallet is None:
            wallet = self._wallets.all[0]  # an edited file need not have a KakaoPay
        if wallet is None:
            ids = ", ".join(each.id for each in self._wallets.all)
            raise BadField(f"There is no such wallet; there are {ids}.", path="$.wallet")
        free = (each for each in wallet.customers if each.conditions == Conditions())
        return wallet, next(free, wallet.customers[0])

    def _wallet_words(self, wallet: Wallet) -> dict[str, Any]:
        return {
            "id": wallet.id,
            "name": wallet.name,
            "wallet_brand_name": wallet.brand,
            "psp_id": wallet.psp_id,
            "currency": wallet.currency,
            "routing_number": wallet.routing_number,
            "customers": [customer_words(each, self._town) for each in wallet.customers],
        }


def customer_words(customer: Customer, town: Town) -> dict[str, Any]:
    """What a tester sees of a customer: what they have left, and what their wallet asks."""
    now = town.conditions[customer.id]
    return {
        "id": customer.id,
        "name": customer.name,
        "customer_id": customer.network_id,
        "balance": town.ledger.balances[customer.id],
        "confirm_above": now.confirm_above,
        "status": now.status,
        "is_kyc_done": now.is_kyc_done,
        "limit_each": now.limit_each,
        "limit_day": now.limit_day,
        "count_day": now.count_day,
        "has_pin": now.pin is not None,
        "play": now.play,
    }
