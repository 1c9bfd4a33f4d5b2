# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""DAT-09: operations that meet, in every order of their steps: no race is left to chance.

Of two operations that meet, the outcome (what both were answered, and all that can be seen afterwards) has to be that
of one after the other. Where it may be another, `ALLOWED` says why and in which pairs, no fewer and no more. What an
operation promises to whoever was told that it is done holds in every order, of threes too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations_with_replacement
from typing import NamedTuple

import pytest

from coatcheck.stores.protocols import Purged
from coatcheck.testing.interleaving import Failed
from coatcheck.testing.meetings import Meeting, Outcome, Prepared
from coatcheck.testing.operations import OPERATIONS
from coatcheck.testing.scene import ADA

BY_NAME = {operation.name: operation for operation in OPERATIONS}
PAIRS = tuple(combinations_with_replacement(BY_NAME, 2))
THREES = (
    ("log_in", "change_password", "revoke_all"),
    ("log_in_replacing", "change_password_there", "rotate"),
    ("log_in_replacing", "rotate", "log_out"),
    ("reauthenticate", "revoke_all_but_here", "log_out"),
    ("start_session_replacing", "edit", "increment"),
    ("start_session_replacing", "log_in_replacing", "edit"),
    ("log_in", "disable", "enable"),
    ("rotate", "rotate", "revoke"),
    ("authenticate", "rotate", "purge"),
    ("log_in", "delete_account", "sign_up_as_ada"),
    ("rotate", "revoke_all_but_here", "reauthenticate"),
)
LOST = Failed("SessionEnded", "session_ended")


class Allowance(NamedTuple):
    """Outcomes that are none of one after the other and right all the same: why, which, and in which pairs.

    In these it must be needed, or what is said here were no longer true; unless it is for some stores only.
    """

    why: str
    allows: Callable[[Meeting, Outcome], bool]
    pairs: frozenset[tuple[str, str]]
    is_for_some_stores: bool = False


def _lost_a_race(meeting: Meeting, outcome: Outcome) -> bool:
    others = "".join(who for who, answer in outcome.answers.items() if answer != LOST)
    expected = ({**dict.fromkeys(meeting.players, LOST), **row.answers} for row in meeting.in_rows(others))
    # How many tries a lost race leaves is a question of its own.
    sight = outcome.sight._replace(tries_left=0)
    return len(others) < len(meeting.players) and any(
        outcome.answers == answers and sight == row.sight._replace(tries_left=0)
        for answers, row in zip(expected, meeting.in_rows(others), strict=True)
    )


def _ended_what_it_found(meeting: Meeting, outcome: Outcome) -> bool:
    other = next(who for who, operation in meeting.players.items() if operation.name != "log_out")
    alone, sight = meeting.in_rows(other)[0], outcome.sight
    more = {entry: count for entry, count in sight.events.items() if alone.sight.events.get(entry) != count}
    like = alone.sight._replace(tokens=sight.tokens, standing=sight.standing, events=sight.events)
    return (
        sorted(map(repr, outcome.answers.values())) == sorted(map(repr, [True, alone.answers[other]]))
        and sight == like
        and all(found in (alone.sight.tokens.get(name), "logged_out") for name, found in sight.tokens.items())
        and set(sight.standing) <= set(alone.sight.standing)
        and [name for name, *_ in more] == ["logged_out"]
    )


def _counted_before(meeting: Meeting, outcome: Outcome) -> bool:
    return any(
        outcome.sight == row.sight
        and all(
            answer == row.answers[who] or (type(answer) is int and type(row.answers[who]) is int)
            for who, answer in outcome.answers.items()
        )
        for row in meeting.in_rows("AB")
    )


def _failed_after_it(meeting: Meeting, outcome: Outcome) -> bool:
    return any(
        outcome.answers == row.answers and outcome.sight == row.sight._replace(tries_left=row.sight.tries_left - 1)
        for row in meeting.in_rows("AB")
    )


def _nothing_left_to_mark(meeting: Meeting, outcome: Outcome) -> bool:
    return any(
        outcome.answers == row.answers
        and outcome.sight._replace(events={}) == row.sight._replace(events={})
        and {name for name, *_ in row.sight.events} - {name for name, *_ in outcome.sight.events} == {"session_expired"}
        for row in meeting.in_rows("AB")
    )


def _noted_after(meeting: Meeting, outcome: Outcome) -> bool:
    names_the_deleted = any(subject == ADA for _, _, subject in outcome.sight.events)
    return not names_the_deleted and any(
        outcome.answers == row.answers
        and outcome.sight._replace(events={}, tries_left=0) == row.sight._replace(events={}, tries_left=0)
        and {name for name, *_ in outcome.sight.events}
        <= {name for r in meeting.in_rows("AB") for name, *_ in r.sight.events}
        for row in meeting.in_rows("AB")
    )


def _shared_the_work(meeting: Meeting, outcome: Outcome) -> bool:
    return any(outcome.sight == row.sight and _sums_of(outcome) == _sums_of(row) for row in meeting.in_rows("AB"))


def _sums_of(outcome: Outcome) -> tuple[int, int, int]:
    purged = [answer for answer in outcome.answers.values() if isinstance(answer, Purged)]
    return sum(p.sessions for p in purged), sum(p.counters for p in purged), sum(p.events for p in purged)


def _pairs(one: Iterable[str], others: Iterable[str]) -> frozenset[tuple[str, str]]:
    wanted = {frozenset((a, b)) for a in one for b in others}
    return frozenset(pair for pair in PAIRS if frozenset(pair) in wanted)


LOG_INS = ("log_in", "log_in_replacing", "log_in_with_the_new_password")
CHANGES = ("change_password", "change_password_there")
PROOFS = (*CHANGES, "reauthenticate")
ALLOWED = {
    "lost a race": Allowance(
        "The password was proven before another changed it or deleted the account. Whoever takes the last step second "
        "hears that the session has ended, where somebody later would hear that the password is wrong.",
        _lost_a_race,
        _pairs(PROOFS, [*CHANGES, "delete_account"]),
    ),
    "ended what it found": Allowance(
        "Whoever logs out ends the session they had, though it got a new secret since it was looked at, and though "
        "another has ended it by raising the epoch: both say that it is done, and it is.",
        _ended_what_it_found,
        _pairs(["log_out"], ["change_password", "reauthenticate", "revoke_all", "rotate"]),
    ),
    "counted before": Allowance(
        "The number of sessions that ended is that of the list read before.",
        _counted_before,
        _pairs(["revoke_all"], [*CHANGES, "delete_account", "log_in", "log_out", "revoke", "revoke_all"])
        | _pairs(["revoke_all_but_here"], ["log_in", "revoke_all", "revoke_all_but_here"])
        | _pairs(["start_session"], ["revoke_all", "revoke_all_but_here"]),
    ),
    "failed after it": Allowance(
        "A password that was wrong when it was read is counted as a failure, though it is the right one by now.",
        _failed_after_it,
        _pairs(["log_in_with_the_new_password"], CHANGES),
    ),
    "noted after the deletion": Allowance(
        "What was under way when the account was deleted notes its failure after it, as nobody's; whether it still "
        "counts at the name depends on which was first.",
        _noted_after,
        _pairs(["delete_account"], ["log_in", "log_in_replacing", *PROOFS]),
    ),
    "nothing left to mark": Allowance(
        "What was seen expired was purged or deleted before that could be noted.",
        _nothing_left_to_mark,
        _pairs(["authenticate_too_late"], ["purge", "delete_account"]),
    ),
    "shared the work": Allowance(
        "Two that purge at once, batch by batch, delete together what one would have.",
        _shared_the_work,
        _pairs(["purge"], ["purge"]),
        is_for_some_stores=True,
    ),
}


class InterleavingContract:
    """Every pair of operations, and some threes, in every order of their steps over a store of yours.

    A subclass brings the fixture `prepared_stores`: a function that is given one which fills an empty store, and gives
    one that each time makes a store filled so, under the blocking colour. Filling one and copying it is quickest;
    emptying and filling anew does too.

    Of orders of a pair that differ only in where reads and hashes come among each other, one is played. A subclass
    that sets `is_reduced` to False plays them all: seven times as many, to see that a read is one.
    """

    is_reduced = True

    @pytest.mark.parametrize("pair", PAIRS, ids="-".join)
    def test_dat_09_ses_05_ses_06_rev_05_two_that_meet_act_as_one_after_the_other(
        self, pair: tuple[str, str], prepared_stores: Prepared, record_property: Callable[[str, object], None]
    ) -> None:
        meeting = Meeting([BY_NAME[name] for name in pair], prepared_stores)
        one_after_the_other = meeting.in_rows("AB")
        unexplained: list[str] = []
        needed: set[str] = set()
        orders = 0

        for order, outcome, broken in meeting.orders(is_reduced=self.is_reduced):
            orders += 1
            unexplained.extend(f"{order}: {promise}" for promise in broken)
            if outcome not in one_after_the_other:
                names = [n for n, a in ALLOWED.items() if pair in a.pairs and a.allows(meeting, outcome)]
                needed.update(names)
                unexplained.extend([] if names else [f"{order}: neither one after the other nor allowed: {outcome}"])

        record_property("orders", orders)
        expected = {n for n, a in ALLOWED.items() if pair in a.pairs and not a.is_for_some_stores}
        assert unexplained == [], "\n".join(unexplained[:10])
        assert expected <= needed, f"allowed and not needed any more: {expected - needed}"

    @pytest.mark.parametrize("three", THREES, ids="-".join)
    def test_dat_09_ses_05_ses_06_rev_05_three_that_meet_keep_their_promises(
        self, three: tuple[str, str, str], prepared_stores: Prepared, record_property: Callable[[str, object], None]
    ) -> None:
        meeting = Meeting([BY_NAME[name] for name in three], prepared_stores)

        plays = list(meeting.orders(is_reduced=True))

        record_property("orders", len(plays))
        broken = [f"{play.order}: {promise}" for play in plays for promise in play.broken]
        assert broken == [], "\n".join(broken[:10])
