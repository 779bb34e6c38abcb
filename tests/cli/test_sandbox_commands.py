"""`tillgate sandbox script` and `plays`, against a sandbox that runs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from tillgate.cli import main
from tillgate.sandbox.plays import MAGIC

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"


def run(sandbox, *arguments):
    return main(["sandbox", "script", *arguments, "--sandbox", sandbox.url])


def rules(sandbox):
    return sandbox.ask("GET", "/sandbox/rules")["rules"]


def test_the_documents_script_is_put_in_force(sandbox, tmp_path, capsys):
    example = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
    file = tmp_path / "script.toml"
    file.write_text(example)
    sandbox.rule({"reset": True})
    assert run(sandbox, str(file)) == 0
    assert "2 rules, random faults" in capsys.readouterr().out
    first, second = rules(sandbox)
    assert (first["times"], first["do"]) == (None, {"lose": "request"})
    assert (second["times"], second["play"]) == (3, "in_process_then_success")
    assert sandbox.ask("GET", "/sandbox/faults")["faults"]["seed"] == 7
    assert run(sandbox, "--clear") == 0
    assert rules(sandbox) == []
    assert sandbox.ask("GET", "/sandbox/faults")["faults"] is None


@pytest.mark.parametrize(
    "text",
    [
        '[[rules]]\non = { api = "pay" }\ndo = { reset = true }\n',
        'rules = [{ on = { api = "pay" }, do = { reset = true } }]\n',
        '{"rules": [{"on": {"api": "pay"}, "do": {"reset": true}}]}',
        '  \n{"rules": [{"on": {"api": "pay"}, "do": {"reset": true}}]}',
    ],
)
def test_toml_and_json_say_the_same_from_a_file_or_a_pipe(sandbox, text, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert run(sandbox, "-", "--json") == 0
    (rule,) = json.loads(capsys.readouterr().out)["rules"]
    assert (rule["on"], rule["do"], rule["times"]) == ({"api": "pay"}, {"reset": True}, 1)


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("[[rules", 2, "is neither TOML nor JSON"),
        ("[1, 2]", 2, "is neither TOML nor JSON"),
        ('{"rules": 1}', 1, "$.rules"),
        ('[[rules]]\ndo = { result = "x" }\n', 1, "$.rules[0].do.result"),
        ("[[rules]]\nplay = 'football'\n", 1, "$.rules[0].play"),
        ("[fault]\nseed = 1\n", 1, "fault"),
        ("[clock]\nnow = 'noon'\n", 1, "$.clock.now"),
    ],
)
def test_what_is_wrong_is_named_and_the_old_script_stays(
    sandbox, tmp_path, capsys, text, status, words
):
    sandbox.rule({"reset": True})
    file = tmp_path / "script"
    file.write_text(text)
    assert run(sandbox, str(file)) == status
    assert words in capsys.readouterr().err
    assert len(rules(sandbox)) == 1


def test_what_cannot_be_read_or_reached_says_so(sandbox, tmp_path, capsys):
    assert run(sandbox) == 2
    assert "FILE is needed" in capsys.readouterr().err
    assert run(sandbox, str(tmp_path / "nothing")) == 2
    assert "No such file" in capsys.readouterr().err
    url = sandbox.url
    sandbox.stop()
    assert main(["sandbox", "script", "--clear", "--sandbox", url]) == 1
    assert url in capsys.readouterr().err


def test_every_play_is_listed_with_its_amount(capsys):
    assert main(["sandbox", "plays"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(MAGIC)
    assert main(["sandbox", "plays", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [
        play.name for play in MAGIC.values()
    ]
