"""A till's side of the API, typed: `Tillgate` for plain code, `AsyncTillgate` for asyncio.

```python
from tillgate.client import Tillgate

with Tillgate("http://127.0.0.1:8080", api_key) as till:
    payment = till.pay(code, order="0042", currency="JPY", value=100)
    print(payment.status, payment.next_step)
```

Both do what docs/till-guide.md says: one Idempotency-Key per sale, the same request again whenever
an answer is lost, and never "failed" unless the gateway said so.
"""

from tillgate.client.asynchronous import AsyncTillgate
from tillgate.client.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Unauthorized,
    Unavailable,
)
from tillgate.client.plain import Tillgate
from tillgate.client.talk import Page, PaymentEvent, StreamEvent
from tillgate.gateway.resources import Amount, PaymentResource, RefundResource

__all__ = [
    "Amount",
    "ApiError",
    "AsyncTillgate",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "OutcomeUnknown",
    "Page",
    "PaymentEvent",
    "PaymentResource",
    "RefundResource",
    "StreamEvent",
    "Tillgate",
    "Unauthorized",
    "Unavailable",
]
