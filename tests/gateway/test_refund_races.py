"""Whatever merchants ask at once, on two nodes, of a network that loses replies and refuses: the
rows, the money and what was told agree. On both databases.
"""

from __future__ import annotations

import asyncio
from itertools import count

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.gateway.refund_side import OFFICE, ask, done, refunding
from tillgate.core.errors import CannotRefund, KeyReused, RefundInstead, StoreError
from tillgate.core.model import Status
from tillgate.core.refund_model import (
    RefundReport,
    RefundStatus,
    SendAnswered,
    SendUnanswered,
)
from tillgate.core.results import Outcome
from tillgate.store import Sql

examples = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
numbers, drawn = count(1), count(1)

# What the network makes of one refund, and what is heard of its first send.
FATES = st.sampled_from(["done", "refused", "done, reply lost", "lost"])
ASKED = st.tuples(
    st.integers(0, 1),
    st.sampled_from(["refund", "refund", "refund", "cancel"]),
    st.integers(0, 5),
    st.sampled_from([None, 1, 30, 50, 100]),
)


def by_fate(network, fates):
    """Gives each refund its fate, in the order in which they arrive."""
    fate_of: dict[str, str] = {}

    def takes(refund):
        fate = fate_of.setdefault(
            refund.refund_request_id, fates[len(fate_of) % len(fates)] if fates else "done"
        )
        return fate.startswith("done") or (fate == "lost" and refund.sends > 1)

    def reply(refund):
        fate = fate_of[refund.refund_request_id]
        if refund.sends == 1 and "lost" in fate:
            return SendUnanswered("lost")
        if refund.refund_request_id in network.taken:
            return SendAnswered(done(refund))
        return SendAnswered(RefundReport(outcome=Outcome.FAILURE, code="PROCESS_FAIL"))

    network.takes, network.reply = takes, reply


async def one(side, node, payment, prefix, asked):
    """What became of one request: a refund, or the refusal."""
    _, what, key, value = asked
    try:
        if what == "cancel":
            return await node.cancels.cancel(payment, OFFICE)
        opened = await ask(node, payment, value, key=f"{prefix}-{key}")
    except (CannotRefund, KeyReused, RefundInstead, StoreError) as error:
        return error
    return await node.refunds.wait(opened.refund, 20)


@examples
@given(asked=st.lists(ASKED, min_size=2, max_size=14), fates=st.lists(FATES, max_size=6))
@example(asked=[(n % 2, "refund", n, 30) for n in range(6)], fates=["refused", "done"])
@example(asked=[(n % 2, "refund", 0, None) for n in range(8)], fates=["done, reply lost"])
@example(asked=[(0, "cancel", 0, None), (1, "refund", 1, 100)], fates=[])
def test_rows_money_and_words_agree_whatever_is_asked_at_once(open_store, asked, fates):
    async def run():
        async with refunding(open_store) as side:
            side.numbers = drawn
            by_fate(side.network, fates)
            number = next(numbers)
            nodes, payment = [side.node(), side.node()], await side.paid(number)
            results = await asyncio.gather(
                *(one(side, nodes[each[0]], payment, number, each) for each in asked)
            )
            await agree(side, payment, asked, results)

    asyncio.run(run())


async def agree(side, paid, asked, results):
    payment, refunds = await side.row(paid), await side.all(paid)
    assert {each.status for each in refunds} <= {RefundStatus.SUCCEEDED, RefundStatus.FAILED}
    given = sum(each.amount.value for each in refunds if each.status is RefundStatus.SUCCEEDED)
    # The money: what the network's ledger says is what merchants were told, and never too much.
    assert given == payment.refunded == side.network.given_back() <= 100
    assert payment.reserved == payment.refunded
    assert payment.holds_order is (given < 100)
    # Cancel or refund: never both.
    if payment.status is not Status.SUCCEEDED:
        assert not any(each.status is RefundStatus.SUCCEEDED for each in refunds)
    # One refund for each key, whoever asked how often.
    by_key = {}
    for each, result in zip(asked, results, strict=True):
        if each[1] == "refund" and not isinstance(result, Exception):
            by_key.setdefault(each[2], set()).add(result.refund_request_id)
    assert all(len(ids) == 1 for ids in by_key.values())
    assert len(by_key) == len(refunds) or any(isinstance(each, StoreError) for each in results)
    # The words: one for each end, in order, none left out.
    rows = await side.store.read(
        Sql(
            "SELECT sequence, type, refund_request_id FROM merchant_event"
            " WHERE payment_request_id = ? ORDER BY position",
            (payment.payment_request_id,),
        )
    )
    assert [row["sequence"] for row in rows] == list(range(1, payment.announced + 1))
    told = {row["refund_request_id"]: row["type"] for row in rows if row["refund_request_id"]}
    assert told == {each.refund_request_id: f"refund.{each.status.lower()}" for each in refunds}
