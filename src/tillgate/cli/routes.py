"""`tillgate routes`: the table in force, and what is wrong with a new one before it is in force."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

from tillgate.core.code_space import Where
from tillgate.core.errors import ConfigError
from tillgate.core.routing_table import Integrations, RoutingTable
from tillgate.core.table_lint import Change, Finding, changes, findings
from tillgate.routing_settings import RoutingSettings, load_routing
from tillgate.tables import TableSource, named


def check(arguments: argparse.Namespace) -> int:
    """Print what is wrong or worth knowing, and the difference to the table in force.

    0: nothing is wrong; 1: something should be mended; 2: it cannot be read as a table.
    """
    settings, integrations = _settings(arguments)
    try:
        table = TableSource(named(arguments.file), settings.source.issuers).read()
    except ConfigError as error:
        return _unreadable(arguments, error)
    found = findings(table, settings.mpp_codes)
    different = changes(settings.table, table, integrations)
    reused = table.version == settings.table.version and not table.routes_as(settings.table)
    if arguments.json:
        _print_json(table, settings.table, found, different, reused)
    else:
        _tell(table, settings.table, found, different, reused)
    return 1 if reused or any(finding.matters for finding in found) else 0


def show(arguments: argparse.Namespace) -> int:
    """Print the table in force."""
    table = _settings(arguments)[0].table
    if arguments.json:
        rules = [
            {name: value for name, value in dataclasses.asdict(rule).items() if name != "automaton"}
            for rule in table.rules
        ]
        head = {name: getattr(table, name) for name in ("version", "title", "source", "default")}
        print(json.dumps({**head, "rules": rules, "issuers": dict(table.issuers)}))
        return 0
    print(f"{table.version}: {table.title}")
    print(f"source: {table.source or '-'}")
    for rule in table.rules:
        more = "".join(f", needs {need}" for need in rule.needs)
        more += ", the last word" if rule.last_word else ""
        more += f", {rule.kind} only" if rule.kind else ""
        print(f"  rule {rule.id:10} {rule.to:12} {rule.pattern}{more}")
    print(f"  default         {table.default}")
    print("issuers, for people:")
    for number, wallet in sorted(table.issuers.items()):
        print(f"  {number} {wallet}")
    return 0


def _settings(arguments: argparse.Namespace) -> tuple[RoutingSettings, Integrations]:
    file = Path(arguments.settings) if arguments.settings else None
    return load_routing(os.environ, file)


def _unreadable(arguments: argparse.Namespace, error: ConfigError) -> int:
    if arguments.json:
        print(json.dumps({"problems": error.problems}))
    else:
        print(f"tillgate: {arguments.file} cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
    return 2


def _reused(table: RoutingTable) -> str:
    return (
        f"the version {table.version!r} is in force with other rules, and payments remember it:"
        " raise the version"
    )


def _print_json(
    table: RoutingTable,
    running: RoutingTable,
    found: list[Finding],
    different: tuple[Change, ...],
    reused: bool,
) -> None:
    told = {
        "version": table.version,
        "running": running.version,
        "findings": [dataclasses.asdict(f) | {"matters": f.matters} for f in found],
        "changes": [dataclasses.asdict(change) for change in different],
        "problems": [_reused(table)] if reused else [],
    }
    print(json.dumps(told))


def _tell(
    table: RoutingTable,
    running: RoutingTable,
    found: list[Finding],
    different: tuple[Change, ...],
    reused: bool,
) -> None:
    print(f"table {table.version!r}: {len(table.rules)} rules, {len(table.issuers)} issuers")
    wrong = [finding for finding in found if finding.matters]
    print(f"wrong: {len(wrong) + reused or 'nothing'}")
    if reused:
        print(f"  {_reused(table)}")
    for finding in wrong:
        _tell_finding(finding)
    print("to know:")
    for finding in found:
        if not finding.matters:
            _tell_finding(finding)
    print(f"difference to {running.version!r}, which is in force:{'' if different else ' none'}")
    for change in different:
        here = "CHANGES A ROUTE HERE" if change.is_here else "changes no route here"
        print(f"  {_codes(change.where, change.is_all)}")
        print(f"    {change.before}")
        print(f"    -> {change.after}")
        print(f"    {here}; example {change.example}")


def _tell_finding(finding: Finding) -> None:
    if not finding.where:
        print(f"  {finding.message}")
        return
    print(f"  {_codes(finding.where, finding.is_all)}")
    print(f"    {finding.message}; example {finding.example}")


def _codes(where: tuple[Where, ...], is_all: bool) -> str:
    return f"{'every code' if is_all else 'some codes'} of {'; '.join(map(str, where))}"
