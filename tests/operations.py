"""Every declared operation, with no gateway behind it: for the documents and for the tests of all
of them.
"""

from __future__ import annotations

from typing import Any, cast

from tillgate.web.codes_api import CodesApi
from tillgate.web.keys_api import KeysApi
from tillgate.web.operations import Operation
from tillgate.web.operator_api import OperatorApi, also_for_operators
from tillgate.web.payment_list import PaymentList
from tillgate.web.payments_api import PaymentsApi
from tillgate.web.refund_judgements import RefundJudgements
from tillgate.web.refunds_api import RefundsApi
from tillgate.web.registry_api import RegistryApi
from tillgate.web.stream_api import StreamApi
from tillgate.web.users_api import UsersApi
from tillgate.web.webhooks_api import WebhooksApi

_NOTHING = cast(Any, None)


def merchant_operations() -> list[Operation]:
    """What tills and back offices call; in the order of the document."""
    return [
        *PaymentsApi(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING).operations(),
        *PaymentList(_NOTHING, ()).operations(),
        *RefundsApi(_NOTHING, _NOTHING, _NOTHING).operations(),
        *StreamApi(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING).operations(),
        *WebhooksApi(_NOTHING, _NOTHING).operations(),
        *CodesApi(_NOTHING).operations(),
    ]


def operator_operations() -> list[Operation]:
    """What operators call."""
    return [
        *also_for_operators(merchant_operations()),
        *OperatorApi(_NOTHING, _NOTHING, _NOTHING, ()).operations(),
        *RefundJudgements(_NOTHING, _NOTHING, _NOTHING).operations(),
        *RegistryApi(_NOTHING, _NOTHING, _NOTHING).operations(),
        *KeysApi(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, is_live=False).operations(),
        *UsersApi(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING).operations(),
    ]
