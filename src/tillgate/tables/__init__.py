"""Reads routing tables, and the lists of names that go with them, from TOML. docs/routing.md
explains the form.

A wrong table is refused whole, with every problem as `FILE:LINE: rule ID: reason and fix`. What
tables mean is `core/routing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tillgate.core.automaton import TooComplex
from tillgate.core.codes import CodeKind
from tillgate.core.errors import ConfigError
from tillgate.core.other_codes import OtherCode, OtherCodes, Sort
from tillgate.core.patterns import BadPattern
from tillgate.core.routing_table import Destination, RoutingTable, Rule
from tillgate.core.table_lint import never_deciding
from tillgate.tables.document import Document, Entry

SHIPPED = ("guide", "2023-08")
RULES_MAX = 500
"""More than any acquirer has wallets."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")
_NUMBER = re.compile(r"[0-9]{3}\Z")
_NEEDS = tuple(to for to in Destination if to is not Destination.NONE)


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where the table in force comes from, to be read at start and again on SIGHUP.

    Attributes:
        table: `guide`, `2023-08` or the path of a file.
        issuers: the path of a list of issuers; None for the shipped one.
    """

    table: str | Path
    issuers: Path | None = None

    @property
    def name(self) -> str:
        """Of the table's file, as problems tell it."""
        return f"{self.table}.toml" if isinstance(self.table, str) else str(self.table)

    def load(self) -> RoutingTable:
        """Read the table, and refuse it unless every rule of it can decide.

        Raises:
            ConfigError: lists every problem.
        """
        table = self.read()
        name, text = _text(self.table)
        lines = Document.parse(text, name).header_lines("rule")
        told = never_deciding(table)
        ids = [rule.id for rule in table.rules]
        problems = [f"{name}:{lines[ids.index(f.rules[0])]}: {f.message}" for f in told]
        if isinstance(self.table, Path) and table.version in SHIPPED:
            shipped = load_shipped(table.version)
            if not table.routes_as(shipped):
                problems.append(
                    f"{name}:1: version {table.version!r} is the shipped table's; a table with"
                    " other rules needs a version of its own"
                )
        if problems:
            raise ConfigError(problems)
        return table

    def read(self) -> RoutingTable:
        """Read the table without asking whether every rule can decide.

        Raises:
            ConfigError: lists every problem.
        """
        problems: list[str] = []
        issuers: Mapping[str, str] = {}
        try:
            issuers = read_issuers(*_text(self.issuers or "issuers"))
        except ConfigError as error:
            problems += error.problems
        try:
            table = read_table(*_text(self.table), issuers=issuers)
        except ConfigError as error:
            raise ConfigError([*error.problems, *problems]) from None
        if problems:
            raise ConfigError(problems)
        return table


def named(text: str) -> str | Path:
    """A table as a person names it: a shipped one, or a path."""
    return text if text in SHIPPED else Path(text)


@cache
def load_shipped(name: str = "guide") -> RoutingTable:
    """One of the tables that are shipped."""
    return TableSource(name).load()


def read_table(name: str, text: str, *, issuers: Mapping[str, str]) -> RoutingTable:
    """Read a table's text; `name` is told in problems.

    Raises:
        ConfigError: lists every problem.
    """
    document = Document.parse(text, name)
    head = document.head({"version", "title", "source", "default", "rule"})
    version = head.text("version", form=_ID)
    title, source = head.text("title", optional=True), head.text("source", optional=True)
    default = head.word("default", tuple(Destination), Destination.NONE)
    entries = document.entries("rule", RULES_MAX)
    rules = [rule for entry in entries if (rule := _rule(entry)) is not None]
    if not entries:
        head.problem("there is no [[rule]]; a table has one at least")
    document.finish()
    try:
        return RoutingTable(
            version=version,
            rules=tuple(rules),
            default=Destination(default),
            title=title,
            source=source,
            issuers=issuers,
            others=shipped_others(),
        )
    except TooComplex as error:
        raise ConfigError([f"{name}:1: the rules together are too complex: {error}"]) from None


def _rule(entry: Entry) -> Rule | None:
    entry.only({"id", "pattern", "kind", "needs", "to", "last_word"})
    rule_id = entry.text("id", form=_ID)
    entry.unique(rule_id)
    if rule_id == "default":
        entry.problem("the id `default` is the default's own", at="id")
    to = Destination(entry.word("to", tuple(Destination), Destination.NONE))
    kind = entry.word("kind", tuple(CodeKind), "", optional=True)
    # A destination is always needed: saying so is for whoever reads the table.
    needs = tuple(Destination(word) for word in entry.words("needs", _NEEDS) if word != to)
    last_word = entry.flag("last_word")
    pattern = entry.text("pattern")
    if not pattern:
        return None
    try:
        return Rule(
            id=rule_id,
            pattern=pattern,
            to=to,
            kind=CodeKind(kind) if kind else None,
            needs=needs,
            last_word=last_word,
        )
    except (BadPattern, TooComplex) as error:
        entry.problem(f"the pattern cannot be used: {error}", at="pattern")
        return None


def read_issuers(name: str, text: str) -> dict[str, str]:
    """Read a list of issuers: routing number to wallet name.

    Raises:
        ConfigError: lists every problem.
    """
    document = Document.parse(text, name)
    document.head({"title", "issuer"})
    issuers: dict[str, str] = {}
    for entry in document.entries("issuer", 1000):
        entry.only({"number", "wallet", "evidence", "strength"})
        number = entry.text("number", form=_NUMBER)
        entry.unique(number)
        issuers[number] = entry.text("wallet")
        entry.text("evidence", optional=True)
        entry.text("strength", optional=True)
    document.finish()
    return issuers


def read_others(name: str, text: str) -> OtherCodes:
    """Read the codes that are no Alipay+ payment codes.

    Raises:
        ConfigError: lists every problem.
    """
    document = Document.parse(text, name)
    document.head({"title", "other"})
    rows: list[OtherCode] = []
    for entry in document.entries("other", RULES_MAX):
        entry.only({"name", "called", "sort", "pattern", "begins", "length", "source"})
        pattern = entry.text("pattern", optional=True)
        begins = entry.text("begins", optional=True)
        if bool(pattern) is bool(begins):
            entry.problem("a row has either a pattern or what the text begins with")
        try:
            rows.append(
                OtherCode(
                    name=entry.text("name"),
                    called=entry.text("called"),
                    sort=Sort(entry.word("sort", tuple(Sort), Sort.WALLET, optional=True)),
                    pattern=pattern,
                    begins=begins,
                    length=entry.count("length"),
                    source=entry.text("source", optional=True),
                )
            )
        except (BadPattern, TooComplex) as error:
            entry.problem(f"the pattern cannot be used: {error}", at="pattern")
    document.finish()
    return OtherCodes(tuple(rows))


@cache
def shipped_others() -> OtherCodes:
    """The codes of other wallets and of goods that are known by name."""
    return read_others(*_text("others"))


def _text(source: str | Path) -> tuple[str, str]:
    """Name and content of a file, or of a shipped one.

    Raises:
        ConfigError: it cannot be read.
    """
    if isinstance(source, str):
        file = f"{source}.toml"
        return file, (resources.files(__name__) / file).read_text("utf-8")
    try:
        return str(source), source.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{source}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{source}: is not UTF-8 text"]) from None
