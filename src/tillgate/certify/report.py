"""What came of a run: for the terminal, as JUnit XML, as one HTML page with all messages."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from tillgate.certify.run import Outcome, Verdict

MARKS = {Verdict.PASSED: "ok  ", Verdict.FAILED: "FAIL", Verdict.SKIPPED: "skip"}


def line(outcome: Outcome) -> str:
    """One case, for the terminal."""
    words = f"{MARKS[outcome.verdict]} {outcome.case.name:<36}{outcome.seconds:6.1f} s"
    reasons = "".join(f"\n       {reason}" for reason in outcome.reasons)
    return words + reasons


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many of each."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)


def junit(outcomes: Sequence[Outcome]) -> str:
    """JUnit XML, as CI systems read it."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name="tillgate certify",
        tests=str(len(outcomes)),
        failures=str(counts[Verdict.FAILED]),
        skipped=str(counts[Verdict.SKIPPED]),
        errors="0",
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=outcome.case.name.partition("_")[0],
            name=outcome.case.name,
            time=f"{outcome.seconds:.3f}",
        )
        reasons = "\n".join(outcome.reasons)
        if outcome.verdict is Verdict.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=outcome.reasons[0])
            failure.text = reasons
        elif outcome.verdict is Verdict.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=reasons)
        messages = ElementTree.SubElement(case, "system-out")
        messages.text = "\n".join(_message_words(one) for one in outcome.evidence.exchanges)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def page(outcomes: Sequence[Outcome], acquirer: str) -> str:
    """One HTML page that needs nothing else."""
    sections = "\n".join(_section(outcome) for outcome in outcomes)
    return _PAGE.format(
        acquirer=html.escape(acquirer), summary=html.escape(summary(outcomes)), sections=sections
    )


def _section(outcome: Outcome) -> str:
    case = outcome.case
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in outcome.reasons)
    told = ", then ".join(
        f"{one.status} ({html.escape(one.words)})" for one in outcome.evidence.told
    )
    rows = "".join(_row(one) for one in outcome.evidence.exchanges)
    is_open = " open" if outcome.verdict is Verdict.FAILED else ""
    return f"""<details class="{outcome.verdict}"{is_open}>
<summary><b>{outcome.verdict}</b> <code>{html.escape(case.name)}</code>
{html.escape(case.what)}</summary>
<ul class="reasons">{reasons}</ul>
<p>Source: {html.escape(case.row)}. {outcome.seconds:.1f} s. The till was told: {told or "nothing"}.
Net debit of the customer: {outcome.evidence.net_debit}.</p>
<table><tr><th>at</th><th>from</th><th>to</th><th>API</th><th></th><th>result</th>
<th>paymentResult</th><th>signature</th></tr>{rows}</table>
</details>"""


def _row(exchange: dict[str, object]) -> str:
    names = ("at", "from", "to", "api", "kind", "result", "payment_result", "signature")
    cells = "".join(f"<td>{html.escape(str(exchange[name] or ''))}</td>" for name in names)
    return f"<tr>{cells}</tr>"


def _message_words(exchange: dict[str, object]) -> str:
    names = ("at", "from", "to", "api", "kind", "result", "payment_result", "signature")
    return "  ".join(str(exchange[name]) for name in names if exchange[name])


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Acceptance of {acquirer}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
 color: #1a1a1a; background: #fff; }}
details {{ border: 1px solid #ccc; border-left-width: 6px; margin: .5rem 0; padding: .5rem 1rem; }}
.passed {{ border-left-color: #1b7f3b; }} .failed {{ border-left-color: #b3261e; }}
.skipped {{ border-left-color: #777; }}
summary {{ cursor: pointer; }} .reasons {{ color: #b3261e; }} .skipped .reasons {{ color: #555; }}
table {{ border-collapse: collapse; font-size: 13px; width: 100%; }}
td, th {{ border-top: 1px solid #ddd; padding: .2rem .5rem; text-align: left; }}
</style></head><body>
<h1>Acceptance of {acquirer}</h1>
<p>{summary}. A rehearsal against Tillgate's sandbox; it does not replace Alipay+'s own.</p>
{sections}
</body></html>
"""
