"""`coatcheck sessions`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from coatcheck import Client, Coatcheck
from tests.cli.conftest import PASSWORD, Run

DAY = 86_400


@pytest.mark.usefixtures("desk")
def test_list_shows_live_sessions_with_stable_keys(coatcheck: Run) -> None:
    ran = coatcheck("sessions", "list", "--json")

    assert ran.status == 0
    (session,) = ran.json["sessions"]
    assert session.keys() == {
        *("id", "subject", "username", "created_at", "last_seen_at", "expires_at", "ip", "device", "user_agent"),
        *("methods", "remembered", "ended"),
    }
    assert (session["username"], session["ip"], session["ended"]) == ("ada", "192.0.2.7", None)
    assert session["created_at"].endswith("Z")


@pytest.mark.usefixtures("desk")
def test_list_of_nobody_is_status_1(coatcheck: Run) -> None:
    ran = coatcheck("sessions", "list", "--of", "nobody")

    assert ran.status == 1


def test_list_of_a_subject_without_an_account(coatcheck: Run, desk: Coatcheck) -> None:
    desk.start_session("subject-42")

    ran = coatcheck("sessions", "list", "--of", "subject-42", "--json")

    assert [one["subject"] for one in ran.json["sessions"]] == ["subject-42"]


def test_list_says_that_there_are_more(coatcheck: Run, desk: Coatcheck) -> None:
    desk.start_session("subject-42")

    ran = coatcheck("sessions", "list", "--limit", "1", "--json")

    assert (len(ran.json["sessions"]), ran.json["has_more"]) == (1, True)


def test_an_ended_session_is_listed_with_its_reason_when_asked(coatcheck: Run, desk: Coatcheck) -> None:
    (session,) = desk.sessions(of=desk.find_account("ada").subject)  # type: ignore[union-attr]
    desk.revoke(session.id, of=session.subject or "")

    ran = coatcheck("sessions", "list", "--all", "--of", "ada", "--json")

    assert [one["ended"] for one in ran.json["sessions"]] == ["revoked"]


def test_revoke_ends_one_session_at_once(coatcheck: Run, desk: Coatcheck) -> None:
    login = desk.log_in("ada", PASSWORD)

    ran = coatcheck("sessions", "revoke", login.session.id, "--note", "lost phone", "--json")

    assert (ran.status, ran.json) == (0, {"revoked": 1})
    assert not desk.authenticate(login.token)
    assert desk.all_events(limit=1)[0][0].details["note"] == "lost phone"


def test_revoke_twice_is_status_1(coatcheck: Run, desk: Coatcheck) -> None:
    login = desk.log_in("ada", PASSWORD)
    desk.log_out(login.token)

    ran = coatcheck("sessions", "revoke", login.session.id)

    assert ran.status == 1
    assert "ended already" in ran.err


@pytest.mark.usefixtures("desk")
def test_an_id_that_begins_with_a_hyphen_is_an_id(coatcheck: Run) -> None:
    ran = coatcheck("sessions", "show", "-hJ0bcdefghi")

    assert ran.status == 1
    assert "session_not_found" in ran.err


def test_revoke_all_of_an_account(coatcheck: Run, desk: Coatcheck) -> None:
    login = desk.log_in("ada", PASSWORD)

    ran = coatcheck("sessions", "revoke", "--all", "--of", "ada@example.org")

    assert (ran.status, ran.out) == (0, "Ended 2 sessions.\n")
    assert not desk.authenticate(login.token)


@pytest.mark.usefixtures("desk")
def test_revoke_all_needs_to_know_of_whom(coatcheck: Run) -> None:
    ran = coatcheck("sessions", "revoke", "--all")

    assert ran.status == 2
    assert "--of" in ran.err


def test_purge_deletes_what_is_long_dead(coatcheck: Run, tmp_path: Path) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", clock=lambda: int(time.time()) - 40 * DAY) as past:
        past.start_session("subject-42")

    ran = coatcheck("sessions", "purge", "--json")

    assert (ran.status, ran.json["sessions"]) == (0, 1)


@pytest.mark.usefixtures("desk")
def test_purge_at_a_terminal_ends_with_the_figures(at_terminal: Run) -> None:
    ran = at_terminal("sessions", "purge")

    assert ran.status == 0
    assert "Deleted 0 sessions" in ran.out


def test_a_hostile_user_agent_cannot_steer_the_terminal(at_terminal: Run, desk: Coatcheck) -> None:
    desk.start_session("subject-42", client=Client(user_agent="[red]x[/red]/1 \x1b]0;owned\x07"))

    ran = at_terminal("sessions", "list", "--of", "subject-42")

    assert "\x1b]0;" not in ran.out
    assert ran.status == 0
