"""What every page stands on, the gateway's and the sandbox's: templates, static files and the
headers that keep strangers' scripts out.

A page loads nothing from anybody else, and no script or style stands in a page itself.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

OURS = "tillgate.pages"
"""The package whose templates and static files every site has."""

LOCAL_FRAMES = ("http://127.0.0.1:*", "http://localhost:*")
"""Who may show the demonstration's pages in a frame: pages of this machine."""

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/wasm", ".wasm")


class Site:
    """Pages of one origin, made of the `templates` and `static` folders of some packages."""

    def __init__(self, *packages: str, frame_ancestors: Sequence[str] = ()) -> None:
        """Reads all static files.

        Args:
            packages: names of packages with `templates` and `static`; a file of an earlier one
                hides that of a later one, and `tillgate.pages` comes last.
            frame_ancestors: origins that may show these pages in a frame; without any nobody may.
        """
        everyone = (*packages, OURS)
        self._frame_ancestors = " ".join(frame_ancestors) or "'none'"
        self._static: dict[str, tuple[bytes, str]] = {}
        for package in reversed(everyone):
            self._static |= _read(files(package) / "static")
        content = (
            part for name, (body, _) in sorted(self._static.items()) for part in (name, body)
        )
        digest = hashlib.sha256()
        for part in content:
            digest.update(part if isinstance(part, bytes) else part.encode())
        self._version = digest.hexdigest()[:12]
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package) for package in everyone]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["static"] = self.static

    def static(self, name: str) -> str:
        """The address of a static file; it changes when any file does, so it is kept for ever."""
        if name not in self._static:
            raise LookupError(f"there is no static file {name}")
        return f"/static/{self._version}/{name}"

    def render(self, template: str, **values: Any) -> str:
        """A template as text: a whole page, or a part of one."""
        return self._templates.get_template(template).render(**values)

    def page(
        self, template: str, *, status: int = 200, frames: Sequence[str] = (), **values: Any
    ) -> HTMLResponse:
        """A page as an answer that nobody keeps.

        Args:
            template: its name.
            status: of the answer.
            frames: origins that the page shows in frames.
            values: what the template names.
        """
        headers = {
            "Content-Security-Policy": "; ".join(
                (
                    "default-src 'none'",
                    "script-src 'self' 'wasm-unsafe-eval'",  # the reader of codes is WebAssembly
                    "style-src 'self'",
                    "img-src 'self' data: blob:",
                    "connect-src 'self'",
                    "manifest-src 'self'",
                    "media-src 'self' blob:",
                    f"frame-src {' '.join(frames) or chr(39) + 'none' + chr(39)}",
                    "form-action 'self'",
                    "base-uri 'none'",
                    f"frame-ancestors {self._frame_ancestors}",
                )
            ),
            "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        return HTMLResponse(self.render(template, **values), status, headers)

    def routes(self) -> list[Route]:
        """The static files."""
        return [Route("/static/{version}/{name:path}", self._file, methods=["GET"])]

    async def _file(self, request: Request) -> Response:
        found = self._static.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        body, media_type = found
        # An old page asks for an old version, and gets the new file: it must not keep it as such.
        is_this = request.path_params["version"] == self._version
        kept = "public, max-age=31536000, immutable" if is_this else "no-store"
        headers = {
            "Cache-Control": kept,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return Response(body, headers=headers, media_type=media_type)


def _read(folder: Traversable, prefix: str = "") -> dict[str, tuple[bytes, str]]:
    found: dict[str, tuple[bytes, str]] = {}
    if not folder.is_dir():
        return found
    for each in folder.iterdir():
        name = prefix + each.name
        if each.is_dir():
            found |= _read(each, name + "/")
        else:
            kind = mimetypes.guess_type(each.name)[0] or "application/octet-stream"
            found[name] = (each.read_bytes(), kind)
    return found
