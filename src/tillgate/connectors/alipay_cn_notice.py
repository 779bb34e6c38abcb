"""AlipayCN's asynchronous notice: a signed form, answered with the text `success`.

Alipay repeats it for a day until it is answered so (4, 10 and 10 minutes, 1, 2, 6 and 15 hours).
With payment codes it comes for TRADE_SUCCESS; other states where it was agreed on. A refund sends
it again, with fields of its own. Source: "Asynchronous notices" (common/02mse3) and the notice page
of face-to-face payments: verify, then compare `app_id`, `out_trade_no`, `total_amount` and
`seller_id`.
"""

from __future__ import annotations

from tillgate.alipaycn import messages, signing
from tillgate.alipaycn.client import Credentials
from tillgate.alipaycn.signing import BadForm
from tillgate.alipayplus.messages import BadMessage
from tillgate.alipayplus.signing import BadSignature
from tillgate.connectors import BadNotification, NotifyAnswer, Told
from tillgate.connectors.alipay_cn_answers import receipt_of
from tillgate.core.model import PaymentRequestId, Report
from tillgate.core.results import ORDER_IS_CLOSED, SUCCESS, Outcome

_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
SUCCESS_TEXT = NotifyAnswer(200, b"success", _TEXT)
FAILURE = (b"failure", _TEXT)

TRADE_NOTICE = "trade_status_sync"
ID_LENGTH_MAX = 64


def read_notice(body: bytes, me: Credentials, seller_id: str | None) -> Told | None:
    """Check a notice's signature and addressee, then read it; None when it says nothing final of
    the payment itself: a trade that waits, a refund, another kind of notice.

    Raises:
        BadNotification: it is not Alipay's, not for us, or cannot be read.
    """
    try:
        fields = signing.read_form(body)
        signing.verify_notice(me.network_keys, fields)
    except (BadForm, BadSignature) as error:
        raise BadNotification(f"its signature: {error}", NotifyAnswer(401, *FAILURE)) from None
    texts = {
        name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in fields.items()
    }
    try:
        return told_of(texts, me.app_id, seller_id)
    except BadMessage as error:
        answer = NotifyAnswer(400, *FAILURE)
        raise BadNotification(f"signed, but not to be used: {error}", answer) from None


def told_of(texts: dict[str, str], app_id: str, seller_id: str | None) -> Told | None:
    """What a notice says whose signature holds; None when it is nothing final of the payment.

    Raises:
        BadMessage: it is not for us, or cannot be read.
    """
    if texts.get("app_id") != app_id:
        raise BadMessage("the app_id is not ours")
    if seller_id is not None and texts.get("seller_id") != seller_id:
        raise BadMessage("the seller_id is not ours")
    if texts.get("notify_type", TRADE_NOTICE) != TRADE_NOTICE or _is_of_refund(texts):
        return None
    out_trade_no = texts.get("out_trade_no", "")
    if not 0 < len(out_trade_no) <= ID_LENGTH_MAX:
        raise BadMessage("there is no out_trade_no")
    receipt = receipt_of(texts.get("trade_no"), texts.get("gmt_payment"), texts.get("buyer_id"))
    match texts.get("trade_status"):
        case "WAIT_BUYER_PAY":
            return None
        case "TRADE_SUCCESS" | "TRADE_FINISHED":
            amount = messages.read_amount(texts.get("total_amount", ""))
            report = Report(outcome=Outcome.SUCCESS, code=SUCCESS, amount=amount, receipt=receipt)
        case "TRADE_CLOSED":
            report = Report(outcome=Outcome.FAILURE, code=ORDER_IS_CLOSED, receipt=receipt)
        case _:
            raise BadMessage("the trade_status is none that is known")
    return Told(PaymentRequestId(out_trade_no), report)


def _is_of_refund(texts: dict[str, str]) -> bool:
    """Whether a refund sent it: the trade's state in it is not the outcome of the payment.

    `refund_fee` alone is no sign: a notice of a payment has it too, as 0.00.
    """
    if texts.get("gmt_refund") or texts.get("out_biz_no"):
        return True
    refund_fee = texts.get("refund_fee", "")
    return bool(refund_fee.strip("0.")) if refund_fee else False
