"""`tillgate certify`: rehearse the acceptance with a running acquirer."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import aiohttp

from tillgate.certify import adapter, report
from tillgate.certify.cases import CASES, Case
from tillgate.certify.run import Outcome, Runner, Verdict, named
from tillgate.certify.sandbox import Sandbox, SandboxRefused
from tillgate.cli.till import api_key_or_none, sandbox_url
from tillgate.core.errors import ConfigError
from tillgate.ids import new_secret


def certify(arguments: argparse.Namespace) -> int:
    """Run the cases, print each as it ends, write the reports."""
    cases = named(CASES, arguments.only)
    if arguments.list:
        for case in cases:
            print(f"{case.name:<36}{case.what}  [{case.row}]")
        return 0
    if not cases:
        raise ConfigError([f"--only {' '.join(arguments.only)}: no case starts so; see --list"])
    if not arguments.gateway:
        raise ConfigError(["--gateway: the acquirer's URL is needed"])
    for name in (arguments.junit, arguments.html):
        if name and not Path(name).parent.is_dir():
            raise ConfigError([f"{name}: there is no such folder"])
    key = api_key_or_none(arguments)
    try:
        outcomes = asyncio.run(_run(arguments, cases, key))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConfigError(
            [f"--sandbox {sandbox_url(arguments)}: no answer ({type(error).__name__})"]
        ) from None
    except SandboxRefused as error:
        raise ConfigError([f"the sandbox refuses: {error}"]) from None
    if arguments.junit:
        Path(arguments.junit).write_text(report.junit(outcomes))
    if arguments.html:
        Path(arguments.html).write_text(report.page(outcomes, arguments.gateway))
    print(report.summary(outcomes))
    return int(any(outcome.verdict is Verdict.FAILED for outcome in outcomes))


async def _run(arguments: argparse.Namespace, cases: list[Case], key: str) -> list[Outcome]:
    acquirer = adapter.load(arguments.adapter, arguments.gateway, key)
    sandbox = Sandbox(sandbox_url(arguments))
    try:
        if left := await sandbox.rules_in_force():
            words = f"{left} rules are in force at the sandbox: tillgate sandbox script --clear"
            raise ConfigError([words])
        print(f"{len(cases)} cases; the slowest take about {arguments.expiry + 80} s", flush=True)
        runner = Runner(
            acquirer,
            sandbox,
            seed=new_secret(4),
            expiry_s=arguments.expiry,
            on_done=lambda outcome: print(report.line(outcome), flush=True),
        )
        return await runner.run(cases)
    finally:
        await acquirer.close()
        await sandbox.close()
        sys.stdout.flush()
