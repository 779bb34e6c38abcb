"""What a scanned code is, for tills: nothing is paid, saved or sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.codes import CodeKind
from tillgate.core.explain import Layout, Tried, fields_of
from tillgate.core.routing import Consult
from tillgate.gateway.routes import Routes
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Operation, json_answer


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, as it was scanned."""

    code: Annotated[str, msgspec.Meta(extra_json_schema=PLAIN)]


class IdentifiedCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a text is, where it would go, and every rule that was tried. `kind` is null where it is
    no payment code of Alipay+; `other` then names what it is, if that is known.
    """

    kind: CodeKind | None
    length: int
    routing_number: str | None
    issuer: str | None
    route: str | None
    rule: str | None
    reason: str
    masked: str
    table: str
    consult: Consult | None
    other: str | None
    layout: Layout | None
    rules: list[Tried]


class CodesApi:
    """The operation, with what it needs."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="identifyCode",
                method="POST",
                path="/v1/codes/identify",
                group="Codes",
                summary="Say what a scanned text is and where it would go",
                description="Nothing is paid, saved or sent. A text that is no payment code is an"
                " answer, too. At most ten digits of it are shown.",
                permission=Permission.READ,
                body=CodeBody,
                body_example={"code": "281006020000000000000001"},
                answers=(Answer(status=200, description="What it is.", body=IdentifiedCode),),
                handler=self.identify,
            )
        ]

    async def identify(self, call: Call) -> Response:
        """What the text is, where it would go, and every rule that was tried."""
        return json_answer(fields_of(self._routes.explain(call.body.code)))
