"""The style as a test: arrows, purity, generated documents, links. Says what to do instead."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated_docs import DOCS, GENERATED
from tillgate import __version__
from tillgate.core.errors import GatewayError
from tillgate.core.results import MEANINGS, NextStep
from tillgate.web.problems import STATUS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tillgate"
MODULES = sorted(SOURCE.rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def test_imports_follow_the_arrows_of_the_floor_plan():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# Where the clock, randomness and the environment may be read.
# The clients run in a till's own process; what they say takes both as arguments (client/talk.py).
CLIENTS = {"client/plain.py", "client/asynchronous.py"}
CLOCK = {"clock.py", "logs.py", "cli/demo.py", *CLIENTS}
SEEDED = {"simulation/dice.py", "simulation/run.py", "simulation/gateway_depth/run.py"}
RANDOM = {"ids.py", *SEEDED, *CLIENTS}
ENVIRONMENT = {"cli/serve.py", "cli/routes.py", "cli/till.py", "cli/demo.py", "cli/db.py"}
HIDDEN = {
    ("datetime", "now"): CLOCK,
    ("datetime", "utcnow"): set(),
    ("datetime", "today"): set(),
    ("date", "today"): set(),
    ("time", "time"): set(),
    ("time", "monotonic"): CLOCK,
    ("time", "sleep"): CLOCK,
    ("uuid", "uuid4"): set(),
    ("os", "environ"): ENVIRONMENT,
    ("os", "getenv"): set(),
    ("os", "urandom"): set(),
}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_hidden_clock_randomness_or_environment(path):
    name = str(path.relative_to(SOURCE))
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            allowed = HIDDEN.get((node.value.id, node.attr))
            assert allowed is None or name in allowed, (
                f"{relative(path)}:{node.lineno}: {node.value.id}.{node.attr}:"
                " take it as an argument (a Clock, a draw function, Settings)"
            )
        if isinstance(node, ast.Import | ast.ImportFrom):
            words = {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                words = {(node.module or "").partition(".")[0]}
            assert not words & {"random", "secrets", "uuid"} or name in RANDOM, (
                f"{relative(path)}:{node.lineno}: draw it in ids.py and pass it on"
            )


@pytest.mark.parametrize("path", sorted((SOURCE / "core").glob("*.py")), ids=relative)
def test_the_core_has_no_float_and_no_swallowing_arm(path):
    for node in nodes(path):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"{relative(path)}:{node.lineno}: a float"
        if isinstance(node, ast.Name):
            assert node.id != "float", f"{relative(path)}:{node.lineno}: float: use integers"
    if path.name != "payment.py":
        return
    text = path.read_text()
    arms = re.findall(r"\n +case _:\n +(.*)", text)
    # One arm gives an unawaited outcome back unchanged, whatever it is: that is its rule.
    assert [arm for arm in arms if not arm.startswith("assert_never")] == ["return Step(payment)"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_errors_are_caught_by_name(path):
    # A batch's fate; any fault of a migration; a step that must not leave a payment without timer;
    # a watch that must not end, or revocations would not count; a webhook that must be counted, or
    # it would be sent for ever; pictures that must not end; a fault that has to be answered.
    broad = {
        "application.py",
        "group_commit.py",
        "postgres_writer.py",
        "migrate.py",
        "follow.py",
        "health.py",
        "registry.py",
        "webhooks.py",
    }
    for node in nodes(path):
        if isinstance(node, ast.ExceptHandler) and path.name not in broad:
            caught = node.type.id if isinstance(node.type, ast.Name) else node.type
            assert caught not in (None, "Exception"), f"{relative(path)}:{node.lineno}"


SECRET_WORDS = ("code", "digits", "signature", "body", "api_key", "private")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_log_call_names_a_secret(path):
    for node in nodes(path):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "log"):
            continue
        for argument in node.args[1:]:
            named = {n.id for n in ast.walk(argument) if isinstance(n, ast.Name)}
            named |= {n.attr for n in ast.walk(argument) if isinstance(n, ast.Attribute)}
            assert not named & set(SECRET_WORDS), f"{relative(path)}:{node.lineno}: {named}"


@pytest.mark.parametrize("file", sorted(GENERATED))
def test_generated_documents_are_up_to_date(file):
    assert (DOCS / file).read_text() == GENERATED[file](), "run `make format`"


def markdown() -> list[Path]:
    return [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]


@pytest.mark.parametrize("path", markdown(), ids=relative)
def test_relative_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{relative(path)}: {target}"


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("[0-9]*.md")), ids=relative)
def test_a_decision_has_its_four_parts(path):
    for part in ("## Context", "## Decision", "## Status", "## Consequences"):
        assert part in path.read_text(), f"{relative(path)}: {part} is missing"


def test_the_changelog_and_the_package_name_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = re.findall(r"^## \[([0-9.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == project["version"] == __version__


def subclasses(parent: type) -> Iterator[type]:
    for child in parent.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_code_has_an_http_status():
    for error in subclasses(GatewayError):
        if error.__module__.startswith("tillgate.sandbox"):
            continue
        assert error.code in STATUS, f"{error.__name__}: add {error.code} to web/problems.py"


def test_every_next_step_is_told_by_something():
    told = {meaning.next_step for meaning in MEANINGS.values()}
    by_status_alone = {NextStep.WAIT, NextStep.TRY_AGAIN}
    assert told | by_status_alone == set(NextStep)


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_nothing_names_a_registry_or_holds_a_private_key():
    hosts = re.compile(r"py[p]i\.org|python[h]osted|registry\.[n]pmjs|deb\.[d]ebian")
    key = re.compile(r"-----BEGIN (?:RSA )?PRIV[A]TE KEY-----\n[A-Za-z0-9+/=]{20}")
    for path in committed():
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "replace")
            assert not hosts.search(text), relative(path)
            assert not key.search(text), relative(path)
