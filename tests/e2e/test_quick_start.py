"""docs/quick-start.md, run as it stands against the demo; docs/till-guide.md names every step."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_processes import clean_environ, running
from tests.generated_docs import DOCS
from tillgate.cli.keys import Addresses, till_file, write_folder, write_private
from tillgate.core.results import NextStep
from tillgate.web.problems import STATUS

TEXT = (DOCS / "quick-start.md").read_text()
GUIDE = (DOCS / "till-guide.md").read_text()
BIN = Path(sys.executable).parent


def block(language: str) -> str:
    """The one block of this kind."""
    [found] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return found


def run(folder: Path, *command: str, block: str) -> str:
    """Run `command` on a block, after the set-up of the page, and give what it printed."""
    script = folder / "block"
    script.write_text(block)
    setup = (folder / "setup.sh").read_text()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{setup}\n{' '.join(command)} {script}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environ() | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def demo(tmp_path):
    """Both sides as the demo starts them, with the files that it writes."""
    shop = tmp_path / "shop"
    write_folder(shop, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    (tmp_path / "setup.sh").write_text(block("sh setup"))
    with running(shop, "sandbox") as sandbox:
        reach = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url}
        with running(shop, "serve", **reach) as gateway:
            key = re.search(r'api_key = "(.*)"', (shop / "till.toml").read_text())
            assert key is not None
            till = till_file(gateway.url, sandbox.url, key.group(1))
            write_private(shop / "till.toml", till)
            yield tmp_path


def test_curl(demo):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    first = json.loads(run(demo, "bash -euo pipefail", block=block("sh curl")))
    assert (first["status"], first["final"]) == ("SUCCEEDED", True)


def test_python(demo):
    told = run(demo, sys.executable, block=block("python"))
    assert told.startswith("SUCCEEDED none pay_")


def test_javascript(demo):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    script = demo / "pay.mjs"
    script.write_text(block("js"))
    told = run(demo, "node", str(script), "#", block="")
    assert told.startswith("SUCCEEDED none pay_")


def test_the_guide_names_every_next_step_once():
    rows = re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
    assert sorted(rows) == sorted(["next_step", *(step.value for step in NextStep)])


def test_the_guide_names_no_code_that_is_none():
    named = set(re.findall(r"4\d\d `(\w+)`", GUIDE))
    assert named <= set(STATUS)
    assert {"no_route", "order_already_has_a_payment", "cannot_cancel"} <= named
