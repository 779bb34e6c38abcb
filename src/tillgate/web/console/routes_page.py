"""Routes: the table in force, and where one code would go."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.gateway.routes import Routes
from tillgate.web.console.frame import Frame
from tillgate.web.door import check_origin
from tillgate.web.people import Person
from tillgate.web.problems import Problem
from tillgate.web.sign_in import form_of


class RoutesPage:
    """The page, with what it needs."""

    def __init__(self, frame: Frame, routes: Routes) -> None:
        self._frame = frame
        self._routes = routes

    def routes(self) -> list[Route]:
        """What to mount."""
        return [self._frame.route("/console/routes", self.show, ("GET", "POST"))]

    async def show(self, request: Request, person: Person) -> Response:
        """The table; with a form that was sent, also what becomes of its code.

        The code comes in a form, so that it stands in no address and no log, and only its masked
        form goes back.
        """
        explained = None
        if request.method == "POST":
            check_origin(request)
            form = await form_of(request)
            if not hmac.compare_digest(form.get("csrf", "").encode(), person.csrf.encode()):
                raise Problem("forbidden", "This page is not of this session: load it again.")
            explained = self._routes.explain(form.get("code", "").strip()[:64])
        return await self._frame.page(
            "routes.html",
            person,
            "routes",
            table=self._routes.table,
            integrations=self._routes.integrations,
            explained=explained,
        )
