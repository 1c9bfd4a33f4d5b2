"""`coatcheck accounts`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from coatcheck import Coatcheck, InvalidCredentials, TooManyAttempts
from tests.cli.conftest import PASSWORD, Run


def test_a_fresh_store_has_no_accounts(coatcheck: Run, tmp_path: Path) -> None:
    """test_acc_10: nothing is seeded."""
    Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db").ready()

    ran = coatcheck("accounts", "list", "--json")

    assert (ran.status, ran.json) == (0, {"accounts": [], "next": None})


def test_create_reads_the_password_from_stdin(coatcheck: Run, tmp_path: Path) -> None:
    ran = coatcheck("accounts", "create", "--username", "ada", "--password-stdin", "--json", given=PASSWORD + "\n")

    assert ran.status == 0
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        assert desk.log_in("ada", PASSWORD).subject == ran.json["subject"]


def test_create_asks_twice_at_a_terminal_and_shows_nothing_typed(at_terminal: Run, tmp_path: Path) -> None:
    ran = at_terminal("accounts", "create", "--username", "ada", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert ran.status == 0, ran.out
    assert PASSWORD not in ran.out
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        assert desk.log_in("ada", PASSWORD)


def test_create_without_a_terminal_says_how_to_give_the_password(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "create", "--username", "ada")

    assert ran.status == 2
    assert "--password-stdin" in ran.err


def test_create_never_takes_a_password_as_an_option(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "create", "--username", "ada", "--password", PASSWORD)

    assert ran.status == 2
    assert PASSWORD not in ran.err


def test_create_names_every_field_at_fault(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "create", "--username", "a", "--email", "b", "--password-stdin", given="short")

    assert ran.status == 1
    assert [line.split(":")[1].strip() for line in ran.err.splitlines()] == ["username", "email", "password"]


@pytest.mark.usefixtures("desk")
def test_create_refuses_a_taken_name(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "create", "--username", "ADA", "--password-stdin", given=PASSWORD)

    assert ran.status == 1
    assert "username_taken" in ran.err


def test_create_refuses_a_password_that_is_not_utf_8(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "create", "--username", "ada", "--password-stdin", given=b"\xff" * 20)

    assert ran.status == 2
    assert "UTF-8" in ran.err


@pytest.mark.usefixtures("desk")
def test_list_shows_a_table(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "list")

    assert ran.status == 0
    assert "ada@example.org" in ran.out


def test_list_goes_on_where_a_page_ended(coatcheck: Run, desk: Coatcheck) -> None:
    desk.sign_up(username="bob", password=PASSWORD)

    first = coatcheck("accounts", "list", "--limit", "1", "--json").json
    second = coatcheck("accounts", "list", "--limit", "1", "--cursor", first["next"], "--json").json

    assert {one["username"] for page in (first, second) for one in page["accounts"]} == {"ada", "bob"}
    assert second["next"] is None


def test_list_of_all_is_one_json_object_on_each_line(coatcheck: Run, desk: Coatcheck) -> None:
    desk.sign_up(username="bob", password=PASSWORD)

    ran = coatcheck("accounts", "list", "--all", "--json")

    assert {json.loads(line)["username"] for line in ran.out.splitlines()} == {"ada", "bob"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--name", "ADA@exam"], ["ada"]),
        (["--name", "nobody"], []),
        (["--disabled"], ["bob"]),
        (["--enabled"], ["ada"]),
        (["--created-after", "1h"], ["ada", "bob"]),
        (["--created-before", "1h"], []),
        (["--created-after", "1h", "--disabled"], ["bob"]),
    ],
)
def test_list_shows_those_that_fit_all_options(
    coatcheck: Run, desk: Coatcheck, options: list[str], found: list[str]
) -> None:
    desk.disable(desk.sign_up(username="bob", password=PASSWORD).subject)

    ran = coatcheck("accounts", "list", *options, "--json")

    assert sorted(one["username"] for one in ran.json["accounts"]) == found


@pytest.mark.usefixtures("desk")
def test_list_says_when_nothing_matches(coatcheck: Run) -> None:
    assert coatcheck("accounts", "list", "--disabled").out == "No accounts match.\n"


def test_list_says_when_there_is_nothing(coatcheck: Run, tmp_path: Path) -> None:
    Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db").ready()

    assert coatcheck("accounts", "list").out == "There are no accounts.\n"
    assert coatcheck("accounts", "list", "--all").out == "There are no accounts.\n"
    assert coatcheck("accounts", "list", "--all", "--json").out == ""


@pytest.mark.usefixtures("desk")
def test_show_finds_by_name_address_and_subject(coatcheck: Run) -> None:
    by_name = coatcheck("accounts", "show", "ada", "--json").json
    by_address = coatcheck("accounts", "show", "ADA@example.org", "--json").json
    by_subject = coatcheck("accounts", "show", by_name["subject"], "--json").json

    assert by_name == by_address == by_subject
    assert by_name["live_sessions"] == 1
    assert [event["name"] for event in by_name["events"]] == ["logged_in", "signed_up"]


@pytest.mark.usefixtures("desk")
def test_show_of_nobody_is_status_1(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "show", "nobody")

    assert (ran.status, ran.out) == (1, "")
    assert "'nobody'" in ran.err
    assert "coatcheck accounts list" in ran.err
    assert "(account_not_found)" in ran.err


def test_disable_ends_sessions_and_enable_lets_in_again(coatcheck: Run, desk: Coatcheck) -> None:
    disabled = coatcheck("accounts", "disable", "ada", "--json")
    sessions = coatcheck("sessions", "list", "--json")
    enabled = coatcheck("accounts", "enable", "ada", "--json")

    assert disabled.json["disabled"] is True
    assert sessions.json["sessions"] == []
    assert enabled.json["disabled"] is False
    assert desk.log_in("ada", PASSWORD)


def test_dat_07_delete_leaves_no_trace_and_frees_the_name(coatcheck: Run, desk: Coatcheck, tmp_path: Path) -> None:
    account = desk.find_account("ada")
    assert account is not None

    ran = coatcheck("accounts", "delete", "ada", "--yes")

    assert (ran.status, ran.out) == (0, "Deleted ada; 1 session ended.\n")
    assert desk.find_account("ada") is None
    with sqlite3.connect(tmp_path / "coatcheck.db") as connection:
        rest = "\n".join(connection.iterdump())
    assert [trace for trace in ("ada", account.subject, "192.0.2.7") if trace in rest] == []
    again = coatcheck("accounts", "create", "--username", "ada", "--password-stdin", "--json", given=PASSWORD)
    assert again.json["subject"] != account.subject


def test_delete_asks_first_and_needs_somebody_to_ask(coatcheck: Run, at_terminal: Run, desk: Coatcheck) -> None:
    unasked = coatcheck("accounts", "delete", "ada")
    declined = at_terminal("accounts", "delete", "ada", typed="n\n")

    assert unasked.status == 2
    assert "say --yes" in unasked.err
    assert declined.status == 1
    assert "Delete ada (" in declined.out
    assert "end 1 session?" in declined.out
    assert desk.find_account("ada") is not None
    assert at_terminal("accounts", "delete", "ada", typed="y\n").status == 0
    assert desk.find_account("ada") is None


@pytest.mark.usefixtures("desk")
def test_delete_of_nobody_is_status_1(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "delete", "nobody", "--yes")

    assert ran.status == 1
    assert "no account has the user name" in ran.err


def test_rat_02_unlock_lets_the_right_password_in_again(coatcheck: Run, desk: Coatcheck) -> None:
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            desk.log_in("ada", "not the passphrase")
    with pytest.raises(TooManyAttempts):
        desk.log_in("ada", PASSWORD)

    ran = coatcheck("accounts", "unlock", "ada")

    assert (ran.status, ran.out) == (0, "Forgot the failed tries at ada.\n")
    assert desk.log_in("ada", PASSWORD)


@pytest.mark.usefixtures("desk")
def test_unlock_says_so_of_a_disabled_account(coatcheck: Run) -> None:
    coatcheck("accounts", "disable", "ada")

    ran = coatcheck("accounts", "unlock", "ada")

    assert "It is disabled all the same" in ran.out
    assert coatcheck("accounts", "unlock", "ada", "--json").json["disabled"] is True
