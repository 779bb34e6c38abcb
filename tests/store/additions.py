"""Whether a migration only adds, read from its SQL: what the release before still reads and writes
stays as it is.
"""

from __future__ import annotations

import re

_HARMLESS = re.compile(
    r"(BEGIN|COMMIT)$|CREATE (TABLE|SEQUENCE|INDEX) |COMMENT ON |UPDATE alembic_version |"
    r"INSERT INTO |ALTER TABLE \w+ ALTER COLUMN \w+ SET \(n_distinct = -?[\d.]+\)$",
    re.IGNORECASE,
)
_COLUMN = re.compile(r"ALTER TABLE \w+ ADD COLUMN ", re.IGNORECASE)
_UNIQUE = re.compile(r"CREATE UNIQUE INDEX \w+ ON (\w+) ", re.IGNORECASE)


def not_additions(sql: str) -> list[str]:
    """The statements that may get in the way of a release that doesn't know of them."""
    text = re.sub(r"--[^\n]*", "", sql)
    statements = [" ".join(each.split()) for each in text.split(";")]
    made = set(re.findall(r"CREATE TABLE (\w+)", text, re.IGNORECASE))
    return [each for each in statements if each and not _only_adds(each, made)]


def _only_adds(statement: str, made: set[str]) -> bool:
    words = statement.upper()
    if _COLUMN.match(statement):
        # Who doesn't know the column leaves it out, and knows no rule about it.
        is_filled = "NOT NULL" not in words or "DEFAULT" in words
        return is_filled and not re.search(r"\b(UNIQUE|CHECK|REFERENCES)\b", words)
    unique = _UNIQUE.match(statement)
    if unique:
        return unique[1] in made
    return bool(_HARMLESS.match(statement))
