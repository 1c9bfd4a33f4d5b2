"""Every parser of untrusted octets, and what it promises of whatever it is given (SUP-09).

A target is a parser, a judgement of its answer, and the pieces its grammar is made of. Three searches use the same
targets: Hypothesis strings pieces together (`test_parsers.py`), libFuzzer follows the code's own branches with the
pieces as its dictionary (`guided.py`), and `test_growth.py` repeats pieces to find work that is more than linear.

Where it can be, the judge is an independent reading: the rule in its plainest and slowest spelling, the standard
library's parser, or the URL parser that browsers are specified by.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.targets import (
    addresses,
    bodies,
    clients,
    cookies,
    headers,
    hosts,
    kept,
    names,
    redirects,
    requests,
    stored,
    tokens,
    wire,
)
from tests.fuzz.targets.target import Target

TARGETS: Mapping[str, Target] = {
    target.name: target
    for module in (
        *(cookies, tokens, bodies, redirects, hosts, clients, names, headers, wire, requests, stored, kept, addresses),
    )
    for target in module.TARGETS
}
