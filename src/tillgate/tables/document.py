"""A TOML document of one head and many entries, read strictly; every problem is noted with the line
where it stands.

tomllib tells no lines for values, so the lines of `[[name]]` headers and of keys are found in the
text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tillgate.core.errors import ConfigError

SIZE_MAX = 256 * 1024
"""Bytes of a document; the shipped ones have at most 6,000."""
TEXT_MAX = 1000
_SHOWN_MAX = 60


@dataclass(slots=True)
class Document:
    """A file's content and the problems that were found in it."""

    name: str
    values: Mapping[str, Any]
    lines: Sequence[str]
    problems: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, name: str) -> Document:
        """Read the text.

        Raises:
            ConfigError: it is not TOML, or too long.
        """
        if len(text) > SIZE_MAX:
            raise ConfigError([f"{name}: has more than {SIZE_MAX} characters"])
        try:
            return cls(name, tomllib.loads(text), text.splitlines())
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"line ([0-9]+)", str(error))
            line = found.group(1) if found else len(text.splitlines())
            raise ConfigError([f"{name}:{line}: not TOML: {error}"]) from None

    def header_lines(self, section: str) -> list[int]:
        """The lines of the `[[section]]` headers, the first line being 1."""
        header = re.compile(rf"\s*\[\[\s*{section}\s*\]\]")
        return [at for at, line in enumerate(self.lines, 1) if header.match(line)]

    def head(self, known: set[str]) -> Entry:
        """The keys above the entries; one that is not known is noted."""
        first = next((at for at, line in enumerate(self.lines, 1) if "[[" in line), None)
        scalars = {k: v for k, v in self.values.items() if not isinstance(v, list)}
        head = Entry(self, "", scalars, 1, first or len(self.lines) + 1, set())
        for key in self.values:
            if key not in known:
                head.problem(
                    f"{_shown(key)} is not known here; known: {', '.join(sorted(known))}", at=key
                )
        return head

    def entries(self, section: str, count_max: int) -> list[Entry]:
        """The `[[section]]` entries, in order."""
        found = self.values.get(section, [])
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            self.problems.append((1, f"write each {section} under a header [[{section}]]"))
            return []
        if len(found) > count_max:
            self.problems.append((1, f"more than {count_max} of [[{section}]]"))
            return []
        if not found:
            return []
        starts = self.header_lines(section)
        if len(starts) != len(found):
            starts = [1] * len(found)
        ends = [*starts[1:], len(self.lines) + 1]
        ids: set[str] = set()
        return [
            Entry(self, section, values, start, end, ids)
            for values, start, end in zip(found, starts, ends, strict=True)
        ]

    def finish(self) -> None:
        """Raises:
        ConfigError: problems were noted; lists all of them, by line.
        """
        if self.problems:
            told = dict.fromkeys(sorted(self.problems, key=lambda problem: problem[0]))
            raise ConfigError([f"{self.name}:{line}: {problem}" for line, problem in told])


@dataclass(frozen=True, slots=True)
class Entry:
    """The values of one header, and the lines where they stand."""

    document: Document
    section: str
    values: Mapping[str, Any]
    starts: int
    ends: int
    ids: set[str]

    def problem(self, what: str, at: str | None = None) -> None:
        """Note a problem, with the line of the key `at` where it is found."""
        key = re.compile(rf"""\s*["']?{re.escape(at)}["']?\s*=""") if at else None
        lines = self.document.lines[self.starts - 1 : self.ends - 1]
        line = next((n for n, text in enumerate(lines, self.starts) if key and key.match(text)), 0)
        name = next((v for v in (self.values.get("id"), self.values.get("number")) if v), "")
        who = f"{self.section} {_shown(name)}: ".replace(" : ", ": ") if self.section else ""
        self.document.problems.append((line or self.starts, f"{who}{what}"))

    def only(self, known: set[str]) -> None:
        """Note every key that is not known."""
        for key in self.values:
            if key not in known:
                words = ", ".join(sorted(known))
                self.problem(f"{_shown(key)} is not known here; known: {words}", at=key)

    def unique(self, identity: str) -> None:
        """Note an id that an earlier entry has."""
        if identity and identity in self.ids:
            self.problem("an earlier one has the same id; each needs its own", at="id")
        self.ids.add(identity)

    def text(self, key: str, *, form: re.Pattern[str] | None = None, optional: bool = False) -> str:
        """A text; empty after noting what is wrong with it."""
        value = self.values.get(key)
        if value is None:
            if not optional:
                self.problem(f"{key} is missing")
            return ""
        is_text = isinstance(value, str) and value.isprintable() and 0 < len(value) <= TEXT_MAX
        if not is_text or (form is not None and not form.match(value)):
            what = f"a text of the form {form.pattern[:-2]}" if form else "a text on one line"
            self.problem(f"{key} must be {what}", at=key)
            return ""
        return str(value)

    def word(
        self, key: str, allowed: Sequence[str], instead: str, *, optional: bool = False
    ) -> str:
        """One of some words; `instead` when it is left out or wrong."""
        value = self.values.get(key)
        if value is None and optional:
            return instead
        if value is None:
            self.problem(f"{key} is missing: one of {', '.join(allowed)}")
        elif not isinstance(value, str) or value not in allowed:
            words = ", ".join(allowed)
            self.problem(f"{key} = {_shown(value)} is unknown; write one of {words}", at=key)
        else:
            return value
        return instead

    def words(self, key: str, allowed: Sequence[str]) -> list[str]:
        """A word or a list of words; empty when it is left out."""
        value = self.values.get(key, [])
        words = value if isinstance(value, list) else [value]
        wrong = [word for word in words if not isinstance(word, str) or word not in allowed]
        for word in wrong:
            self.problem(f"{key}: {_shown(word)} is unknown; known: {', '.join(allowed)}", at=key)
        return [] if wrong else list(words)

    def flag(self, key: str) -> bool:
        """True or false; false when it is left out."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.problem(f"{key} must be true or false", at=key)
            return False
        return value

    def count(self, key: str) -> int | None:
        """A whole number from 1 to 100; None when it is left out."""
        value = self.values.get(key)
        is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100
        if value is not None and not is_count:
            self.problem(f"{key} must be a whole number from 1 to 100", at=key)
            return None
        return value


def _shown(value: object) -> str:
    """A value of somebody else's in a message: on one line, and not too long of it."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
