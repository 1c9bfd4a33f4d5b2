"""Operations that meet between the steps of two stores: accounts in one, sessions in the other.

A step of the whole is up to four steps of the halves, and in between anything may happen. What was promised to whoever
was told that it is done holds in every order of these, too; that it was as one after the other is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement

import pytest

from coatcheck.testing.interleaving import Pausing
from coatcheck.testing.meetings import Meeting
from coatcheck.testing.operations import OPERATIONS
from tests.interleavings.conftest import copies_of_two_in_memory

BY_NAME = {operation.name: operation for operation in OPERATIONS}
# What changes both halves, and what is hurt if that is seen half done.
CHANGES = ("change_password", "delete_account", "disable")
OTHERS = (
    "log_in", "log_in_replacing", "log_in_with_the_new_password", "start_session_replacing", "reauthenticate", "rotate",
    "log_out", "revoke", "revoke_all", "revoke_all_but_here", "edit", "increment", "unlock", "purge",
)  # fmt: skip
# A log-in with the new password that comes before the epoch is raised takes the change for one that died half way, and
# completes it: all sessions end, the one too from which the change was made. Its owner logs in once more.
COMPLETED = ("change_password", "log_in_with_the_new_password")
PAIRS = [*combinations_with_replacement(CHANGES, 2), *((one, other) for one in CHANGES for other in OTHERS)]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_dat_09_rev_05_ses_07_what_was_acknowledged_holds_whatever_happened_between_the_two(
    pair: tuple[str, str], record_property: Callable[[str, object], None]
) -> None:
    meeting = Meeting([BY_NAME[name] for name in pair], copies_of_two_in_memory(Pausing))

    plays = list(meeting.orders(is_reduced=True))

    record_property("orders", len(plays))
    broken = [(play.order, promise) for play in plays for promise in play.broken]
    if pair == COMPLETED:
        assert {promise for _, promise in broken} == {"a session that nobody ended is dead"}
        assert len(broken) < len(plays)
    else:
        assert broken == [], "\n".join(map(str, broken[:10]))
