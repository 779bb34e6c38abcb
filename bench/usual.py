"""What a good team would write without measuring: FastAPI, pydantic, SQLAlchemy's ORM and httpx.

It is not made slow: keys are parsed once, there is one client with a pool, no connection is held
while the network thinks, and a row is locked before its status changes. It is what the tutorials
of these libraries show. PostgreSQL only. Its libraries are in the extra `bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import BigInteger, DateTime, String, func
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.bare import until_stdin_closes
from bench.bare_work import NOTIFY_PATH, PAY_PATH, Settings
from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey

STATUSES = {"S": "SUCCEEDED", "F": "FAILED", "U": "PENDING"}


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "usual"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    merchant_order_id: Mapped[str] = mapped_column(String(64), unique=True)
    currency: Mapped[str] = mapped_column(String(3))
    value: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16), default="PENDING")
    result_code: Mapped[str | None] = mapped_column(String(64))
    payment_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    paid_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Money(BaseModel):
    currency: str = Field(pattern="^[A-Z]{3}$")
    value: int = Field(gt=0)


class Order(BaseModel):
    merchant_order_id: str = Field(min_length=1, max_length=64)
    amount: Money


class SaleRequest(BaseModel):
    code: str = Field(pattern="^[0-9]{16,24}$")
    order: Order


class SaleResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    status: str
    merchant_order_id: str
    payment_id: str | None
    paid_at: datetime | None


class Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Amount(Wire):
    currency: str
    value: str


class Result(Wire):
    result_status: str
    result_code: str
    result_message: str | None = None


class Address(Wire):
    region: str = "JP"
    city: str = "Tokyo"


class Shop(Wire):
    reference_store_id: str = "S0000000001"
    store_name: str = "UGG-2"
    store_mcc: str = "1405"


class Merchant(Wire):
    reference_merchant_id: str = "M00000000001"
    merchant_name: str = "cup Hu"
    merchant_mcc: str = Field(default="1405", alias="merchantMCC")
    store: Shop = Shop()
    merchant_address: Address = Address()


class Env(Wire):
    store_terminal_id: str = "122222"


class PayOrder(Wire):
    reference_order_id: str
    order_description: str = "cup Hu tea"
    order_amount: Amount
    merchant: Merchant = Merchant()
    env: Env = Env()


class Method(Wire):
    payment_method_type: str = "CONNECT_WALLET"
    payment_method_id: str


class Factor(Wire):
    is_in_store_payment: str = "true"
    in_store_payment_scenario: str = "PaymentCode"


class Settlement(Wire):
    settlement_currency: str = "USD"


class PayRequest(Wire):
    payment_notify_url: str
    payment_request_id: str
    payment_expiry_time: str
    order: PayOrder
    payment_amount: Amount
    payment_method: Method
    payment_factor: Factor = Factor()
    settlement_strategy: Settlement = Settlement()


class PayResponse(Wire):
    result: Result
    payment_id: str | None = None
    payment_time: datetime | None = None


class Notification(Wire):
    payment_result: Result
    payment_request_id: str
    payment_id: str | None = None
    payment_time: datetime | None = None


class Acknowledgement(Wire):
    result: Result


def wire_time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


class Network:
    """A client of the network's API."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient, ring: KeyRing) -> None:
        self.client_id = settings.client_id
        self.client = client
        self.key = SigningKey(settings.signing_key)
        self.ring = ring
        self.notify_url = ""

    async def pay(self, payment: Payment, code: str) -> PayResponse:
        amount = Amount(currency=payment.currency, value=str(payment.value))
        now = datetime.now(UTC)
        request = PayRequest(
            payment_notify_url=self.notify_url,
            payment_request_id=payment.id,
            payment_expiry_time=wire_time(now + timedelta(seconds=60)),
            order=PayOrder(reference_order_id=payment.merchant_order_id, order_amount=amount),
            payment_amount=amount,
            payment_method=Method(payment_method_id=code),
        )
        body = request.model_dump_json(by_alias=True).encode()
        headers = self.headers(PAY_PATH, "Request-Time", body)
        response = await self.client.post(PAY_PATH, content=body, headers=headers)
        response.raise_for_status()
        self.check(PAY_PATH, response.headers, "Response-Time", response.content)
        return PayResponse.model_validate_json(response.content)

    def headers(self, path: str, time_header: str, body: bytes) -> dict[str, str]:
        now = wire_time(datetime.now(UTC))
        return {
            "Content-Type": "application/json; charset=UTF-8",
            "Client-Id": self.client_id,
            time_header: now,
            "Signature": self.key.sign(path, self.client_id, now, body),
        }

    def check(self, path: str, headers: Any, time_header: str, body: bytes) -> None:
        found = headers.get("Signature")
        self.ring.verify(found, path, self.client_id, headers.get(time_header), body)


def ended(payment: Payment, result: Result, told: PayResponse | Notification) -> None:
    if payment.status == "PENDING":
        payment.status = STATUSES[result.result_status]
        payment.result_code = result.result_code
        payment.payment_id = told.payment_id
        payment.paid_at = told.payment_time


async def session_of(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


async def network_of(request: Request) -> Network:
    network: Network = request.app.state.network
    return network


app = FastAPI()
SessionOf = Annotated[AsyncSession, Depends(session_of)]
NetworkOf = Annotated[Network, Depends(network_of)]


@app.post("/v1/payments", status_code=201, response_model=SaleResponse)
async def sell(sale: SaleRequest, session: SessionOf, network: NetworkOf) -> Payment:
    order = sale.order
    payment = Payment(
        id=uuid.uuid4().hex,
        merchant_order_id=order.merchant_order_id,
        currency=order.amount.currency,
        value=order.amount.value,
    )
    session.add(payment)
    await session.commit()
    answer = await network.pay(payment, sale.code)
    await session.refresh(payment, with_for_update=True)
    ended(payment, answer.result, answer)
    await session.commit()
    return payment


@app.post(NOTIFY_PATH)
async def notified(request: Request, session: SessionOf, network: NetworkOf) -> Response:
    raw = await request.body()
    try:
        network.check(NOTIFY_PATH, request.headers, "Request-Time", raw)
    except BadSignature:
        raise HTTPException(401) from None
    told = Notification.model_validate_json(raw)
    payment = await session.get(Payment, told.payment_request_id, with_for_update=True)
    if payment is None:
        raise HTTPException(404)
    ended(payment, told.payment_result, told)
    await session.commit()
    result = Result(result_status="S", result_code="SUCCESS", result_message="success")
    body = Acknowledgement(result=result).model_dump_json(by_alias=True).encode()
    return Response(body, headers=network.headers(NOTIFY_PATH, "Response-Time", body))


async def serve(arguments: argparse.Namespace) -> None:
    settings = Settings.read(arguments.settings)
    url = make_url(arguments.store).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=20, max_overflow=10)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
    stopped = until_stdin_closes(asyncio.get_running_loop())
    async with httpx.AsyncClient(base_url=settings.base_url, limits=limits, timeout=30) as client:
        app.state.network = Network(settings, client, KeyRing({1: settings.network_key}))
        config = uvicorn.Config(
            app, port=0, log_level="warning", access_log=False, timeout_keep_alive=75
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        app.state.network.notify_url = address + NOTIFY_PATH
        print("usual on", address, flush=True)
        await stopped.wait()
        server.should_exit = server.force_exit = True
        await serving
    await engine.dispose()


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", required=True, help="a PostgreSQL URL")
    parser.add_argument("--settings", type=Path, required=True, help="`tillgate keys new` wrote it")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
