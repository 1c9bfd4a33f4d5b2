"""The server answers what its OpenAPI document says, to whatever can be made from that document.

Schemathesis reads the document from the running application and calls it in this process: data that fits and data that
does not, every limit of every field, methods that are not described, one call's answers in the next one's request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import schemathesis
from schemathesis import AuthContext, Case, Response
from schemathesis.config import HealthCheck, SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from coatcheck.colour import run_blocking
from coatcheck.core.records import AccountRecord, PasswordCredential
from coatcheck.server.app import ServerApp, create_app
from coatcheck.server.config import Config
from coatcheck.testing.clock import START
from tests.fuzz.conftest import CHEAP, DERANDOMIZE, SECONDS, SEED

NUMBERS = count(1)  # a host of its own for each server: HST-07 refuses two of one name in one process
HOST = "testserver"  # what schemathesis calls an application in this process
FOR_CROWDS = {"network_free_failures": 1000, "account_free_failures": 100, "network_free_sign_ups": 100_000}
MOST = max(20, int(SECONDS * 10))


def a_member(app: ServerApp) -> type:
    """Somebody with an account, who shows a session of their own at each call: most calls end it."""
    account = AccountRecord("subject-of-ada", "ada", "ada", "ada@example.org", "ada@example.org", START)
    credential = PasswordCredential("subject-of-ada", "!", 1, START)
    run_blocking(app.desk.flows.parts.store.create_account(account, credential, events=()))

    class Member:
        def get(self, _case: Case[Any], _ctx: AuthContext) -> str:
            return run_blocking(app.desk.start_session("subject-of-ada", methods=("pwd",))).token.reveal()

        def set(self, case: Case[Any], data: str, _ctx: AuthContext) -> None:
            case.cookies["__Host-coatcheck"] = data

    return Member


def calls(*, member: bool, examples: int, stateful: bool) -> Iterator[Any]:
    """Run schemathesis against a server of its own; give what happened, event by event."""
    origin = f"https://login-{next(NUMBERS)}.example.org"
    app = create_app(
        Config(
            store="memory://",
            public_url=origin,
            allowed_hosts=(HOST,),
            secret=bytes(range(32)),
            settings=dict(FOR_CROWDS),
        )
    )
    app.desk.flows.parts.hasher = CHEAP
    busy = SchemathesisConfig(seed=SEED, suppress_health_check=[HealthCheck.too_slow])  # the machine may well be
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=busy)
    if member:
        schema.auth(refresh_interval=None)(a_member(app))
    config = schema.config
    config.headers = {"Origin": origin}
    config.generation.max_examples = examples
    config.generation.deterministic = DERANDOMIZE and not stateful
    config.phases.stateful.enabled = stateful
    # A rule that a schema cannot tell (the length of a password is a setting) is refused with a status of its own.
    config.checks.positive_data_acceptance.expected_statuses = ["2xx", "401", "404", "409", "422", "429"]
    yield from from_schema(schema).execute()


def faults_of(events: Iterator[Any]) -> tuple[list[str], Counter[int]]:
    """What broke a promise of the document, with the call that shows it; and how often each status was answered."""
    faults: dict[tuple[str, str], str] = {}
    statuses: Counter[int] = Counter()
    for event in events:
        if isinstance(event, NonFatalError | FatalError):
            faults["schemathesis", type(event).__name__] = str(getattr(event, "value", event))
        if not isinstance(event, ScenarioFinished):
            continue
        recorder = event.recorder
        statuses.update(one.response.status_code for one in recorder.interactions.values() if one.response is not None)
        for case, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None and not _is_refused_cursor(recorder.interactions[case].response):
                    told = f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}"
                    faults.setdefault((recorder.label, check.name), f"{recorder.label}: {check.name}: {told} ({case})")
    return list(faults.values()), statuses


def _is_refused_cursor(response: Response | None) -> bool:
    """What a cursor looks like is not told, so a text that is none fits the document."""
    return response is not None and response.status_code == 400 and b'"pointer":"/cursor"' in response.content


both = pytest.mark.parametrize("member", [False, True], ids=["anonymous", "member"])


@both
def test_err_04_the_document_holds_for_whatever_it_describes(member: bool) -> None:
    faults, statuses = faults_of(calls(member=member, examples=8, stateful=False))

    assert faults == [], "\n".join(faults)
    assert {400, 405, 415} <= statuses.keys()
    assert (200 in statuses) or not member


@pytest.mark.long
@pytest.mark.timeout(SECONDS * 30 + 300)
@both
def test_err_04_the_document_holds_for_thousands_of_calls(member: bool) -> None:
    faults, statuses = faults_of(calls(member=member, examples=MOST, stateful=True))

    print(f"{statuses.total()} calls: {sorted(statuses.items())}, seed {SEED}")
    assert faults == [], "\n".join(faults)
    assert {200, 204, 400, 405} <= statuses.keys() or not member
