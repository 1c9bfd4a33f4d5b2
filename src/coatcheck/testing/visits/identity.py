# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Logging in and out, in this browser and in all of them; and how time ends what nobody ends."""

from __future__ import annotations

import re

import pytest

from coatcheck.testing.scene import PASSWORD
from coatcheck.testing.visits.browsers import AS_JSON, COOKIE, FIREFOX, JSON, NAVIGATION, OWN, Premises
from coatcheck.testing.visits.telling import OpenHouse, Stories

DAY = 86_400


class IdentityStories(Stories):
    """Who is logged in, by whatever way."""

    def test_log_in_and_out(self, here: Premises) -> None:
        ada = here.browser()

        answer = ada.post("/log-in", {"identifier": "ada", "password": PASSWORD, "remember": False})

        assert (answer.status, answer.text) == (200, "in")
        assert "Max-Age" not in answer.set_cookie(), "it ends with the browser (CKY-05)"
        assert answer.listed("cache-control") == {"no-store"}
        assert ada.who() == "ada"

        answer = ada.post("/log-out")
        assert answer.text == "out"
        assert ada.who() == "nobody"
        assert ada.post("/log-out").text == "nobody"

    def test_hdr_09_log_in_by_the_page_of_ours(self, here: Premises) -> None:
        ada = here.browser()

        answer = ada.fill_in("/auth/login?next=/mine", {"identifier": "ada", "password": PASSWORD, "next": "/mine"})

        assert (answer.status, answer.one("location")) == (303, "/mine")
        assert ada.who() == "ada"

    def test_log_in_by_the_call_of_ours(self, here: Premises) -> None:
        ada = here.browser()

        answer = ada.post("/auth/api/login", {"identifier": "ada@example.org", "password": PASSWORD})

        assert (answer.status, answer.json["account"]["username"]) == (200, "ada")
        assert ada.who() == "ada"

    def test_cky_05_rem_02_who_asks_to_be_remembered_is_remembered_by_the_browser_too(self, here: Premises) -> None:
        ada = here.browser()

        answer = ada.post("/log-in", {"identifier": "ada", "password": PASSWORD, "remember": True})

        age = re.search(r"; Max-Age=(\d+)$", answer.set_cookie())
        assert age
        assert int(age[1]) == 30 * DAY
        here.stage.clock.move(13 * DAY)
        assert ada.who() == "ada"

    def test_a_wrong_password_is_401_and_sets_no_session(self, here: Premises) -> None:
        for identifier, password in (("ada", "a wrong passphrase"), ("nobody", PASSWORD)):
            visitor = here.browser()

            answer = visitor.post(
                "/log-in", {"identifier": identifier, "password": password, "remember": False}, [*OWN, *AS_JSON]
            )

            assert (answer.status, answer.reason) == (401, "invalid_credentials")
            assert COOKIE not in answer.cookies
        assert here.is_clear

    def test_enu_01_enu_08_every_refusal_of_a_log_in_is_alike(self, here: Premises) -> None:
        here.office.disable("subject-of-bob")
        seen: set[tuple[int, bytes, tuple[str, ...]]] = set()

        for path in ("/log-in", "/auth/api/login"):
            for identifier in ("ada", "bob", "nobody", "ada@example.org", "nobody@example.org"):
                fields = {"identifier": identifier, "password": "a wrong passphrase", "remember": False}
                answer = here.browser().post(path, fields, [*OWN, *AS_JSON])
                names = tuple(
                    sorted(name for name, _ in answer.headers if name not in ("date", "server", "connection"))
                )
                seen.add((answer.status, answer.body, names))
                assert COOKIE not in answer.cookies

            assert len(seen) == 1, (path, seen)
            seen.clear()

    def test_rat_01_guessing_is_slowed_down(self, here: Premises) -> None:
        fields = {"identifier": "ada", "password": "a wrong passphrase", "remember": False}
        for _ in range(5):
            assert here.browser().post("/log-in", fields, [*OWN, *AS_JSON]).status == 401

        right = {"identifier": "ada", "password": PASSWORD, "remember": False}
        answer = here.browser().post("/log-in", right, [*OWN, *AS_JSON])
        assert (answer.status, answer.one("retry-after")) == (429, "30")
        assert here.browser().post("/auth/api/login", right, [*OWN, *AS_JSON]).status == 429

        here.stage.clock.move(30)
        assert here.browser().post("/log-in", right).text == "in"

    def test_ses_11_nobody_is_logged_in_by_looking(self, here: Premises) -> None:
        query = f"identifier=ada&password={PASSWORD.replace(' ', '+')}&remember=on"

        for path in ("/auth/login", "/auth/api/login", "/log-in", "/start"):
            for method in ("GET", "HEAD"):
                answer = here.browser().send(method, f"{path}?{query}&subject=subject-of-ada")
                assert COOKIE not in answer.cookies, path
        assert here.rows == 0

    def test_log_01_what_happened_is_told_with_where_it_came_from(self, here: Premises) -> None:
        ada = here.browser()
        ada.post("/log-in", {"identifier": "ada", "password": "a wrong passphrase", "remember": False})
        ada.post("/log-in", {"identifier": "ada", "password": PASSWORD, "remember": False})
        ada.post("/log-out")

        told, _ = here.office.events(of="subject-of-ada")

        assert [event.name for event in told] == ["logged_out", "logged_in", "log_in_failed"]
        assert {event.ip for event in told} == {"127.0.0.1"}
        assert {event.user_agent for event in told} == {FIREFOX}

    def test_log_08_everybody_sees_their_own_events(self, here: Premises) -> None:
        ada, bob = here.logged_in("ada"), here.logged_in("bob")
        ada.post("/log-out")

        told = bob.get("/auth/api/events").json["events"]

        assert [event["name"] for event in told] == ["logged_in"]

    def test_rev_08_what_a_client_calls_itself_is_made_harmless(self, here: Premises) -> None:
        ada = here.logged_in()
        agent = "<img src=x onerror=alert(1)>" + "x" * 400

        here.send("POST", "/start", [JSON, *OWN, ("User-Agent", agent)], b'{"subject": "subject-of-ada"}')

        newest, *_ = here.office.sessions(of="subject-of-ada")
        assert len(newest.user_agent or "") <= 256
        assert "<img" not in ada.get("/auth/account", NAVIGATION).text

    def test_fix_01_log_in_issues_a_new_token_and_the_old_one_is_dead(self, here: Premises) -> None:
        victim = here.browser()
        victim.store(cart=1)
        planted = victim.copy()

        victim.post("/start", {"subject": "subject-of-ada"})

        assert victim.token != planted.token
        assert victim.who() == "ada"
        assert planted.who() == "nobody"
        assert planted.data() == {}

    def test_fix_02_what_a_stranger_had_is_theirs_after_log_in_and_messages_are_not(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(cart=["a coat"])
        visitor.post("/flash", {"text": "for a stranger"})

        visitor.post("/start", {"subject": "subject-of-ada"})

        assert visitor.get("/flashes").json == []
        assert visitor.data() == {"cart": ["a coat"]}

    def test_fix_02_keep_at_login_narrows_what_crosses(self, open_house: OpenHouse) -> None:
        here = open_house(policy={"keep_at_login": ("cart",)})
        visitor = here.browser()
        visitor.store(cart=1, view="dark")

        visitor.post("/start", {"subject": "subject-of-ada"})

        assert visitor.data() == {"cart": 1}

    @pytest.mark.parametrize("key", ["user_id", "_user_id", "_auth_user_id", "is_admin", "account", "subject", "_id"])
    def test_fix_02_fix_05_no_key_of_the_session_data_makes_anybody_of_a_stranger(
        self, here: Premises, key: str
    ) -> None:
        visitor = here.browser()
        visitor.store(**{key: "subject-of-ada"})

        assert visitor.who() == "nobody"
        assert visitor.get("/mine", AS_JSON).status == 401

    def test_ses_10_who_logs_in_as_another_gets_nothing_of_the_first(self, here: Premises) -> None:
        visitor = here.logged_in("ada")
        first = visitor.copy()
        visitor.store(diary="Ada's")
        visitor.post("/flash", {"text": "for Ada"})

        visitor.post("/start", {"subject": "subject-of-bob"})

        assert visitor.who() == "bob"
        assert visitor.get("/flashes").json == []
        assert visitor.data() == {}
        assert first.who() == "nobody"

    def test_who_logs_in_again_as_the_same_keeps_what_is_theirs(self, here: Premises) -> None:
        ada = here.logged_in()
        first = ada.copy()
        ada.store(theme="dark")

        ada.post("/start", {"subject": "subject-of-ada"})

        assert ada.data() == {"theme": "dark"}
        assert first.who() == "nobody"

    def test_tok_08_a_token_that_we_did_not_issue_is_never_adopted(self, here: Premises) -> None:
        planted = "A" * 43
        visitor = here.browser({COOKIE: planted})

        visitor.store(x=1)

        assert visitor.token != planted
        assert here.browser({COOKIE: planted}).data() == {}

    def test_cky_07_log_out_and_log_in_in_one_request_set_one_cookie(self, here: Premises) -> None:
        visitor = here.logged_in("ada")
        first = visitor.copy()

        answer = visitor.post("/swap", {"subject": "subject-of-bob"})

        assert len([one for one in answer.all("set-cookie") if one.startswith(f"{COOKIE}=")]) == 1
        assert visitor.who() == "bob"
        assert first.who() == "nobody"

    def test_ses_02_cky_07_log_out_ends_the_session_and_takes_the_cookie_away(self, here: Premises) -> None:
        ada = here.logged_in()
        thief = ada.copy()

        answer = ada.post("/log-out")

        assert answer.set_cookie() == (
            f"{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        )
        assert thief.who() == "nobody"
        assert here.is_clear

    def test_ses_03_a_link_logs_nobody_out(self, here: Premises) -> None:
        ada = here.logged_in()

        for method in ("GET", "HEAD", "OPTIONS"):
            for path in ("/auth/logout", "/log-out"):
                ada.copy().send(method, path, [*NAVIGATION, ("Sec-Fetch-Site", "cross-site")])

        assert ada.who() == "ada"

    def test_ses_04_logging_out_twice_is_no_error(self, here: Premises) -> None:
        ada = here.logged_in()
        again = ada.copy()
        ada.post("/auth/api/logout")

        assert again.post("/auth/api/logout").status == 204
        assert again.jar == {}

    def test_rev_04_rev_06_logging_out_everywhere_ends_every_session_by_the_next_request(self, here: Premises) -> None:
        phone, laptop, bob = here.logged_in(), here.logged_in(), here.logged_in("bob")

        assert laptop.send("DELETE", "/auth/api/sessions").status == 204

        assert [phone.who(), laptop.who(), bob.who()] == ["nobody", "nobody", "bob"]

    def test_rev_01_rev_04_a_device_is_thrown_out_from_another(self, here: Premises) -> None:
        phone, laptop = here.logged_in(), here.logged_in()
        listed = laptop.get("/auth/api/sessions").json["sessions"]
        (other,) = [session["id"] for session in listed if not session["current"]]
        assert phone.token not in str(listed)

        assert laptop.send("DELETE", f"/auth/api/sessions/{other}").status == 204

        assert [phone.who(), laptop.who()] == ["nobody", "ada"]

    def test_rev_02_stp_02_ending_another_session_needs_a_recent_proof(self, here: Premises) -> None:
        phone, laptop = here.logged_in(age=3000), here.logged_in(age=3000)
        listed = laptop.get("/auth/api/sessions").json["sessions"]
        (other,) = [session["id"] for session in listed if not session["current"]]

        answer = laptop.send("DELETE", f"/auth/api/sessions/{other}", [*OWN, *AS_JSON])

        assert (answer.status, answer.reason) == (401, "insufficient_user_authentication")
        assert phone.who() == "ada"
        assert laptop.post("/auth/api/reauthenticate", {"password": PASSWORD}).status == 204
        assert laptop.send("DELETE", f"/auth/api/sessions/{other}").status == 204
        assert phone.who() == "nobody"

    def test_stp_05_a_wrong_proof_changes_nothing(self, here: Premises) -> None:
        ada = here.logged_in(age=600)
        token = ada.token

        answer = ada.post("/auth/api/reauthenticate", {"password": "a wrong passphrase"}, [*OWN, *AS_JSON])

        assert (answer.status, answer.reason) == (401, "invalid_credentials")
        assert ada.token == token
        assert ada.who() == "ada"
        assert ada.get("/fresh", AS_JSON).status == 401

    def test_rev_03_nobody_ends_somebody_elses_session(self, here: Premises) -> None:
        ada, bob = here.logged_in(), here.logged_in("bob")
        (session,) = here.office.sessions(of="subject-of-bob")

        assert ada.send("DELETE", f"/auth/api/sessions/{session.id}", [*OWN, *AS_JSON]).status == 404

        assert bob.who() == "bob"

    def test_rev_05_fix_01_a_new_password_ends_all_other_sessions(self, here: Premises) -> None:
        phone, laptop = here.logged_in(), here.logged_in()
        old = laptop.copy()

        answer = laptop.post(
            "/auth/api/password/change", {"current_password": PASSWORD, "new_password": "another long passphrase"}
        )

        assert answer.status == 204
        assert [phone.who(), old.who(), laptop.who()] == ["nobody", "nobody", "ada"]

    def test_ses_07_a_disabled_account_is_logged_in_nowhere(self, here: Premises) -> None:
        ada = here.logged_in()

        here.office.disable("subject-of-ada")

        assert ada.who() == "nobody"
        answer = ada.post("/start", {"subject": "subject-of-ada"}, [*OWN, *AS_JSON])
        assert answer.status == 401

    def test_ses_09_everybody_is_logged_out_at_once(self, here: Premises) -> None:
        ada, stranger = here.logged_in(), here.browser()
        stranger.store(cart=1)

        here.office.revoke_everybody()

        assert ada.who() == "nobody"
        assert stranger.data() == {}

    def test_rem_01_a_cookie_without_its_row_is_nobody(self, here: Premises) -> None:
        ada = here.logged_in(remember=True)

        here.office.delete_account("subject-of-ada")

        assert ada.who() == "nobody"

    def test_a_subject_without_an_account_of_ours_is_somebody(self, here: Premises) -> None:
        """Sessions belong to subjects: whoever proves identity another way needs no account here."""
        visitor = here.browser()

        visitor.post("/start", {"subject": "https://idp.example/ada"})

        assert visitor.who() == "https://idp.example/ada"
        assert visitor.get("/mine").text == "mine"

    def test_signing_up_by_the_page_leads_to_logging_in(self, here: Premises) -> None:
        visitor = here.browser()

        answer = visitor.fill_in("/auth/signup", {"username": "cora", "email": "", "password": PASSWORD})

        assert answer.status == 303
        assert (answer.one("location") or "").startswith("/auth/login")
        assert visitor.who() == "nobody"
        assert visitor.post("/log-in", {"identifier": "cora", "password": PASSWORD, "remember": False}).text == "in"


class TimeStories(Stories):
    """What time does to sessions."""

    def test_tmo_01_tmo_03_disuse_ends_a_session(self, here: Premises) -> None:
        """After an hour, and the minute by which "last seen" may lag."""
        ada, bob = here.logged_in("ada"), here.logged_in("bob")
        here.stage.clock.move(3599)
        assert ada.who() == "ada"

        here.stage.clock.move(3660)

        assert [ada.who(), bob.who()] == ["nobody", "nobody"]
        assert ada.get("/mine", AS_JSON).status == 401

    def test_tmo_04_use_keeps_a_session_alive(self, here: Premises) -> None:
        ada = here.logged_in()

        for _ in range(6):
            here.stage.clock.move(3000)
            assert ada.who() == "ada"
            here.await_touch(ada)

    def test_tmo_04_last_seen_is_written_at_most_once_a_minute(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.clock.move(120)
        here.stage.steps.clear()

        ada.who()
        here.await_touch(ada)
        for _ in range(4):
            ada.who()

        assert here.stage.steps.writes == ["touch"]

    def test_tmo_02_tmo_03_activity_never_extends_the_absolute_limit(self, here: Premises) -> None:
        ada = here.logged_in(age=DAY - 1)
        assert ada.who() == "ada"

        here.stage.clock.move(1)

        assert ada.who() == "nobody"

    def test_tmo_07_a_clock_set_back_revives_nothing(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.clock.move(2 * DAY)
        assert ada.who() == "nobody"

        here.stage.clock.move(-2 * DAY)

        assert ada.who() == "nobody"

    def test_tmo_09_polling_a_passive_path_is_no_activity(self, open_house: OpenHouse) -> None:
        here = open_house(passive_paths=["/api/me"])
        here.account("ada")
        ada = here.logged_in()

        for _ in range(3):
            here.stage.clock.move(1200)
            ada.get("/auth/api/me")
        here.stage.clock.move(61)

        assert ada.who() == "nobody"

    def test_tmo_05_fix_01_stp_06_proving_identity_again_rotates_the_token(self, here: Premises) -> None:
        ada = here.logged_in(age=600)
        old = ada.copy()
        assert ada.get("/fresh", AS_JSON).status == 401

        answer = ada.post("/auth/api/reauthenticate", {"password": PASSWORD})

        assert answer.status == 204
        assert ada.get("/fresh").text == "fresh"
        assert old.who() == "nobody"
