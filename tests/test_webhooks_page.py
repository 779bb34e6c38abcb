"""The receivers that docs/webhooks.md shows do what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.generated_docs import DOCS
from tillgate.clock import SystemClock
from tillgate.core.webhook_signing import secret_of, signed_headers

PAGE = (DOCS / "webhooks.md").read_text()
BODY = '{"id":"evt_1","data":{"name":"日本"}}'.encode()
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def shown(language: str) -> str:
    [block] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return block


def headers(*keys: bytes) -> dict[str, str]:
    return signed_headers("evt_1", SystemClock().now(), BODY, keys)


CASES = [
    ((KEY,), BODY, True),
    ((OTHER, KEY), BODY, True),
    ((OTHER,), BODY, False),
    ((KEY,), BODY + b" ", False),
]


def test_the_receiver_in_python_takes_what_is_ours_once():
    seen: set[str] = set()
    queue: list[object] = []

    def remember(event_id: str) -> bool:
        is_new = event_id not in seen
        seen.add(event_id)
        return is_new

    names = {"SECRET": secret_of(KEY), "remember": remember, "enqueue": queue.append}
    exec(shown("python"), names)
    for keys, body, is_good in CASES:
        assert names["receive"](headers(*keys), body) == (200 if is_good else 400)
    assert queue == [json.loads(BODY)]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
@pytest.mark.parametrize(("keys", "body", "is_good"), CASES)
@pytest.mark.parametrize("late_s", [0, 1000])
def test_the_receiver_in_javascript_verifies(keys, body, is_good, late_s):
    given = [secret_of(KEY), headers(*keys), body.decode()]
    script = f"""{shown("js")}
    const [secret, headers, body] = {json.dumps(given)};
    const now = Date.now;
    Date.now = () => now() + {late_s * 1000};
    console.log(verify(secret, headers, Buffer.from(body)));"""
    done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(is_good and not late_s).lower(), done.stderr
