"""`coatcheck sessions`."""

from __future__ import annotations

import json
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

    first = coatcheck("sessions", "list", "--limit", "1", "--json").json
    second = coatcheck("sessions", "list", "--limit", "1", "--cursor", first["next"], "--json").json

    assert len({one["id"] for page in (first, second) for one in page["sessions"]}) == 2
    assert second["next"] is None


def test_list_of_one_subject_goes_on_where_a_page_ended(coatcheck: Run, desk: Coatcheck) -> None:
    for _ in range(3):
        desk.start_session("subject-42")
    told, cursor = list[str](), list[str]()

    for _ in range(3):
        page = coatcheck("sessions", "list", "--of", "subject-42", "--limit", "1", "--json", *cursor).json
        told += [one["id"] for one in page["sessions"]]
        cursor = ["--cursor", page["next"] or ""]

    assert told == [session.id for session in desk.sessions(of="subject-42")]
    assert cursor[1] == ""


def test_a_cursor_that_is_gone_is_told(coatcheck: Run, desk: Coatcheck) -> None:
    desk.start_session("subject-42")

    ran = coatcheck("sessions", "list", "--of", "subject-42", "--cursor", "nowhere", "--json")

    assert ran.status == 2
    assert "without it" in json.loads(ran.err)["title"]


@pytest.fixture
def various(tmp_path: Path) -> Path:
    """Sessions of three subjects, which differ in all that can be asked for; the last has ended."""
    store, now = f"sqlite:///{tmp_path}/coatcheck.db", int(time.time())
    for subject, ago, ip, agent in [
        ("old", 1800, "192.0.2.7", "curl/8.14"),
        ("new", 0, "2001:db8::7", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("ended", 0, "198.51.100.4", "curl/8.14"),
    ]:
        with Coatcheck(store, clock=lambda ago=ago: now - ago) as desk:
            desk.start_session(subject, client=Client(ip=ip, user_agent=agent))
    with Coatcheck(store) as desk:
        desk.revoke_all(of="ended")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["new", "old"]),
        (["--state", "ended"], ["ended"]),
        (["--state", "any"], ["ended", "new", "old"]),
        (["--since", "20m"], ["new"]),
        (["--until", "20m"], ["old"]),
        (["--since", "2020-01-01", "--until", "2020-01-02T00:00Z"], []),
        (["--ip", "192.0.2.0/24"], ["old"]),
        (["--ip", "2001:db8::/32"], ["new"]),
        (["--ip", "192.0.2.8"], []),
        (["--user-agent", "CURL"], ["old"]),
        (["--user-agent", "firefox on linux"], ["new"]),
        (["--user-agent", "curl", "--state", "any", "--since", "20m"], ["ended"]),
    ],
)
@pytest.mark.usefixtures("various")
def test_list_shows_those_that_fit_all_options(coatcheck: Run, options: list[str], found: list[str]) -> None:
    page = coatcheck("sessions", "list", *options, "--json")
    lines = coatcheck("sessions", "list", *options, "--json", "--all").out.splitlines()

    assert sorted(one["subject"] for one in page.json["sessions"]) == found
    assert sorted(json.loads(line)["subject"] for line in lines) == found


@pytest.mark.parametrize("option", [["--since", "yesterday"], ["--until", "9 moons"], ["--ip", "300.1.1.1"]])
def test_a_value_that_cannot_be_read_is_told_with_its_form(coatcheck: Run, option: list[str]) -> None:
    ran = coatcheck("sessions", "list", *option)

    assert ran.status == 2
    assert repr(option[1]) in ran.err
    assert "write " in ran.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ip", "10.0.0.0/8"], "No sessions match.\n"),
        (["--state", "ended"], "No ended session is remembered.\n"),
        ([], "There are no live sessions.\n"),
    ],
)
def test_list_says_when_there_is_nothing(coatcheck: Run, tmp_path: Path, options: list[str], told: str) -> None:
    Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db").ready()

    assert coatcheck("sessions", "list", *options).out == told


@pytest.mark.usefixtures("desk")
def test_list_fits_into_80_columns_and_breaks_no_id(at_terminal: Run, desk: Coatcheck) -> None:
    client = Client(ip="2001:db8:1234:5678:9abc:def0:1234:5678", user_agent="x" * 300)
    login = desk.start_session("a-subject-of-another-program-with-a-long-name", client=client)

    ran = at_terminal("sessions", "list", "--state", "any", env={"TERM": "dumb"})

    assert login.session.id in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_show_gives_methods_in_words(coatcheck: Run, desk: Coatcheck) -> None:
    login = desk.start_session("subject-42", methods=("pwd", "otp"))

    ran = coatcheck("sessions", "show", login.session.id)

    assert "methods       pwd, otp" in ran.out.splitlines()


@pytest.mark.usefixtures("desk")
def test_what_is_not_there_is_named_and_where_to_look(coatcheck: Run) -> None:
    ran = coatcheck("sessions", "show", "nowhere")

    assert ran.status == 1
    assert "'nowhere'" in ran.err
    assert "coatcheck sessions list" in ran.err


def test_revoke_of_somebody_ends_their_session_only(coatcheck: Run, desk: Coatcheck) -> None:
    login = desk.start_session("subject-42")

    refused = coatcheck("sessions", "revoke", login.session.id, "--of", "ada")
    lived = bool(desk.authenticate(login.token))
    ended = coatcheck("sessions", "revoke", login.session.id, "--of", "subject-42")

    assert (refused.status, lived) == (1, True)
    assert "ada has no session" in refused.err
    assert (ended.status, ended.out) == (0, "Ended 1 session.\n")
    assert not desk.authenticate(login.token)


def test_an_ended_session_is_listed_with_its_reason_when_asked(coatcheck: Run, desk: Coatcheck) -> None:
    (session,) = desk.sessions(of=desk.find_account("ada").subject)  # type: ignore[union-attr]
    desk.revoke(session.id, of=session.subject or "")

    ran = coatcheck("sessions", "list", "--state", "any", "--of", "ada", "--json")

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


@pytest.fixture
def dead(tmp_path: Path) -> None:
    """Two sessions that have been dead for long, and nothing else."""
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", clock=lambda: int(time.time()) - 40 * DAY) as past:
        past.start_session("subject-42")
        past.start_session("subject-43")


@pytest.mark.usefixtures("dead")
def test_purge_at_a_terminal_draws_how_far_it_is(at_terminal: Run) -> None:
    ran = at_terminal("sessions", "purge")

    drawn, _, result = ran.out.rpartition("Deleted ")
    assert "2 sessions, 0 counters, 0 events" in drawn
    assert result == "2 sessions, 0 counters, 0 events.\r\n"


@pytest.mark.usefixtures("dead")
@pytest.mark.parametrize("term", ["dumb", ""])
def test_purge_at_a_dumb_terminal_sends_no_controls(at_terminal: Run, term: str) -> None:
    ran = at_terminal("sessions", "purge", env={"TERM": term})

    assert ran.out == "Deleted 2 sessions, 0 counters, 0 events.\r\n"


@pytest.mark.usefixtures("dead")
def test_purge_draws_nothing_when_told_to_be_quiet(at_terminal: Run) -> None:
    assert at_terminal("sessions", "purge", "--quiet").out == "Deleted 2 sessions, 0 counters, 0 events.\r\n"


@pytest.mark.usefixtures("dead")
def test_purge_draws_nothing_for_programs(at_terminal: Run) -> None:
    assert json.loads(at_terminal("sessions", "purge", "--json").out)["sessions"] == 2


def test_a_hostile_user_agent_cannot_steer_the_terminal(at_terminal: Run, desk: Coatcheck) -> None:
    desk.start_session("subject-42", client=Client(user_agent="[red]x[/red]/1 \x1b]0;owned\x07"))

    ran = at_terminal("sessions", "list", "--of", "subject-42")

    assert "\x1b]0;" not in ran.out
    assert ran.status == 0


def test_rev_06_everybodys_sessions_end_at_once(coatcheck: Run, desk: Coatcheck) -> None:
    tokens = [desk.start_session(subject).token for subject in ("one", "two", None)]

    ran = coatcheck("sessions", "revoke", "--everybody", "--yes", "--note", "stolen backup")

    assert (ran.status, ran.out) == (0, "Ended everybody's sessions.\n")
    assert [str(desk.authenticate(token)) for token in tokens] == ["Absent('everybody_revoked')"] * 3
    assert desk.all_events()[0][0].details == {"note": "stolen backup"}


def test_everybody_is_asked_about_first_and_goes_with_nothing_else(
    coatcheck: Run, at_terminal: Run, desk: Coatcheck
) -> None:
    token = desk.start_session("one").token

    assert coatcheck("sessions", "revoke", "--everybody").status == 2
    assert coatcheck("sessions", "revoke", "--everybody", "--of", "ada", "--yes").status == 2
    assert coatcheck("sessions", "revoke", "--everybody", "--all", "--of", "ada", "--yes").status == 2
    assert coatcheck("sessions", "revoke", "some-id", "--everybody", "--yes").status == 2
    assert at_terminal("sessions", "revoke", "--everybody", typed="n\n").status == 1
    assert desk.authenticate(token)
    assert coatcheck("sessions", "revoke", "--everybody", "--yes", "--json").json == {"revoked": "everybody"}
