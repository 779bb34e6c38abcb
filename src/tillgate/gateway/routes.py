"""The routing table in force, and how it is replaced while payments go on.

A payment asks once, when it is accepted, and remembers what it was told; so a table may change
between two payments, never within one.
"""

from __future__ import annotations

import logging
import threading

from tillgate.core.errors import ConfigError
from tillgate.core.explain import Explained, explain
from tillgate.core.routing import Identified, identify
from tillgate.core.routing_table import Integrations, RoutingTable
from tillgate.tables import TableSource

log = logging.getLogger(__name__)


class Routes:
    """The table, what the acquirer is connected to, and where the table comes from."""

    def __init__(
        self, table: RoutingTable, integrations: Integrations, source: TableSource
    ) -> None:
        self._table = table
        self._source = source
        self._reloading = threading.Lock()
        self.integrations = integrations

    @property
    def table(self) -> RoutingTable:
        """The table in force. Take it once for all that belongs together."""
        return self._table

    def identify(self, text: str) -> Identified:
        """What a scanned text is and where it goes now. Never raises."""
        return identify(text, self._table, self.integrations)

    def explain(self, text: str) -> Explained:
        """The same with every rule that was tried. Never raises."""
        return explain(text, self._table, self.integrations)

    def reload(self) -> bool:
        """Read the files again. A table that is wrong is logged with every problem, and the one in
        force stays. Never raises; may be called from any thread.

        Rules may not change under a version that is in force, because payments remember the
        version. Names of issuers may: no route depends on them.

        Returns:
            Whether what was read is in force now.
        """
        with self._reloading:
            old = self._table
            try:
                new = self._source.load()
                if new.version == old.version and not new.routes_as(old):
                    raise ConfigError(
                        [
                            f"{self._source.name}: the rules have changed under the version"
                            f" {new.version!r}, which payments remember; raise the version"
                        ]
                    )
            except ConfigError as error:
                for problem in error.problems:
                    log.error("routing table refused, %r stays in force: %s", old.version, problem)
                return False
            self._table = new
            log.info(
                "routing table %r replaced by %r, %d rules, %d issuers",
                old.version,
                new.version,
                len(new.rules),
                len(new.issuers),
            )
            return True
