# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""What strangers leave behind: nothing, until the application stores something for them."""

from __future__ import annotations

import re
from functools import partial

import pytest

from coatcheck.testing.visits.browsers import COOKIE, OWN, Premises, Together
from coatcheck.testing.visits.house import ODD
from coatcheck.testing.visits.telling import OpenHouse, Stories

LOOKS = ("/plain", "/who", "/data", "/look", "/public", "/flashes")


class StrangerStories(Stories):
    """Session data of somebody who is not logged in."""

    def test_ses_01_a_first_visit_leaves_no_row_and_no_cookie(self, here: Premises) -> None:
        """Whatever is looked at, however often, by GET, HEAD or POST."""
        for path in LOOKS:
            for method in ("GET", "HEAD"):
                answer = here.browser().send(method, path)

                assert (answer.status, answer.cookies) == (200, {}), path
        assert here.browser().post("/plain").cookies == {}
        assert here.browser().post("/log-out").text == "nobody"
        assert here.rows == 0
        assert here.stage.steps.writes == []

    def test_a_stranger_is_not_looked_up(self, here: Premises) -> None:
        """Without a cookie there is nobody to ask the store for."""
        for path in LOOKS:
            here.browser().get(path)

        assert here.stage.steps == []

    def test_cky_01_cky_02_cky_05_what_is_stored_for_a_stranger_begins_a_session(self, here: Premises) -> None:
        visitor = here.browser()

        answer = visitor.store(cart=["a coat", {"colour": "grün"}], count=2, price=1.5, gift=None, wrapped=True)

        assert re.fullmatch(COOKIE + r"=[A-Za-z0-9_-]{43}; Path=/; Secure; HttpOnly; SameSite=Lax", answer.set_cookie())
        assert here.rows == 1
        assert visitor.data() == {"cart": ["a coat", {"colour": "grün"}], "count": 2, "price": 1.5, "wrapped": True}
        assert visitor.who() == "nobody"

    def test_fix_07_hdr_02_an_answer_that_sets_the_cookie_is_stored_by_nobody(self, here: Premises) -> None:
        for method, path in (("POST", "/data"), ("GET", "/stream"), ("GET", "/redirect"), ("GET", "/not-modified")):
            visitor = here.browser()

            answer = visitor.post(path, {"x": 1}) if method == "POST" else visitor.get(path)

            assert COOKIE in answer.cookies, path
            assert answer.listed("cache-control") == {"no-store"}, path
            assert "cookie" in answer.listed("vary"), path

    def test_a_cookie_is_set_once_and_not_with_every_answer(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(x=1)

        for path in LOOKS:
            assert visitor.get(path).cookies == {}, path
        assert visitor.store(x=2).cookies == {}

    def test_an_anonymous_session_ends_after_two_weeks_of_disuse(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(x=1)

        here.stage.clock.move(14 * 86_400 - 1)
        assert visitor.data() == {"x": 1}

        here.stage.clock.move(14 * 86_400 + 61)
        assert visitor.data() == {}

    def test_a_change_deep_inside_a_value_is_noticed(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(deep={"list": []})

        for _ in range(2):
            assert visitor.post("/deep").text == "stored"

        assert visitor.data() == {"deep": {"list": [1, 1]}}

    def test_keys_are_removed_and_others_stay(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(one=1, other=2)

        visitor.store(one=None)

        assert visitor.data() == {"other": 2}

    def test_what_is_read_and_not_changed_is_not_written(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(x=[1])
        here.stage.steps.clear()

        visitor.data()
        visitor.store(x=[1])

        assert here.stage.steps.writes == []

    @pytest.mark.parametrize("what", ODD)
    def test_ses_08_what_is_not_json_too_large_or_too_deep_is_refused_and_nothing_is_lost(
        self, here: Premises, what: str
    ) -> None:
        visitor = here.browser()
        visitor.store(kept=1)

        answer = visitor.post("/odd", {"what": what})

        assert answer.status >= 400
        assert "odd" not in answer.text.split('"'), "the answer does not repeat what was to be kept"
        assert visitor.data() == {"kept": 1}

    def test_ses_08_a_stranger_whose_data_is_refused_gets_no_session(self, here: Premises) -> None:
        answer = here.browser().post("/odd", {"what": "object"})

        assert answer.status >= 400
        assert answer.cookies == {}
        assert here.rows == 0

    def test_data_of_one_application_is_not_anothers(self, open_house: OpenHouse) -> None:
        """Two at the same desk, each with a namespace of its own, share the session and not its data."""
        here = open_house(namespace="shop")
        visitor = here.browser()
        visitor.store(cart=1)

        (session, _), *_ = here.office.all_sessions()[0]

        assert session.data("shop") == {"cart": 1}
        assert session.data() == {}

    def test_a_counter_counts_in_one_step(self, here: Premises) -> None:
        visitor = here.browser()
        assert visitor.post("/count").text == "1"

        crowd = Together([lambda: visitor.copy().post("/count") for _ in range(5)])

        assert sorted(answer.text for answer in crowd.all()) == ["2", "3", "4", "5", "6"]
        assert visitor.data() == {"count": 6}

    def test_flashes_are_shown_once(self, here: Premises) -> None:
        visitor = here.browser()
        for text in ("one", "<script>two</script>"):
            assert visitor.post("/flash", {"text": text}).text == "kept"

        assert visitor.get("/flashes").json == ["one", "<script>two</script>"]
        assert visitor.get("/flashes").json == []

    def test_ses_12_messages_are_bounded_in_number_and_length(self, here: Premises) -> None:
        visitor = here.browser()
        for number in range(21):
            visitor.post("/flash", {"text": f"{number} " + "x" * 600})

        shown = visitor.get("/flashes").json

        assert [text.split()[0] for text in shown] == [str(number) for number in range(1, 21)]
        assert max(len(text) for text in shown) <= 500


class MeetingStories(Stories):
    """Requests of one visitor that are under way at the same time."""

    def test_ses_06_two_requests_that_set_two_keys_both_win(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(before=0)

        pair = Together([partial(visitor.copy().post, "/slow", {"key": key}) for key in ("one", "other")])
        here.stage.gate.await_arrivals(2)
        here.stage.gate.open()

        assert [answer.text for answer in pair.all()] == ["stored", "stored"]
        assert visitor.data() == {"before": 0, "one": 1, "other": 1}

    @pytest.mark.parametrize("has_presession", [False, True], ids=["nothing to show", "a pre-session to show"])
    def test_fix_01_two_first_requests_at_once_are_two_strangers(self, here: Premises, has_presession: bool) -> None:
        """No token is made of what a browser shows already: who planted that would know it. The last cookie stays."""
        visitor = here.browser()
        if has_presession:
            visitor.get("/csrf")

        one, other = visitor.copy(), visitor.copy()
        pair = Together([partial(one.post, "/slow", {"key": "one"}), partial(other.post, "/slow", {"key": "other"})])
        here.stage.gate.await_arrivals(2)
        here.stage.gate.open()
        pair.all()

        assert here.rows == 2
        assert one.token != other.token
        visitor.jar.update(other.jar)  # it came last
        assert visitor.data() == {"other": 1}
        assert [visitor.post("/count").text for _ in range(2)] == ["1", "2"]
        assert visitor.data() == {"other": 1, "count": 2}
        assert here.rows == 2

    def test_ses_05_a_save_that_comes_after_log_out_revives_nothing(self, here: Premises) -> None:
        ada = here.logged_in()
        slow = Together([lambda: ada.copy().post("/slow", {"key": "late"})])
        here.stage.gate.await_arrivals(1)
        thief = ada.copy()
        assert ada.post("/log-out").text == "out"
        here.stage.gate.open()

        (answer,) = slow.all()

        assert answer.cookies.get(COOKIE, "") == ""
        assert thief.who() == "nobody"
        assert here.is_clear
        assert thief.data() == {}

    def test_ses_05_nor_does_one_that_comes_after_the_end_of_an_anonymous_session(self, here: Premises) -> None:
        """The late request belongs to the browser that has logged in meanwhile: its cookie must not be pushed out."""
        visitor = here.browser()
        visitor.store(cart=1)
        slow = Together([lambda: visitor.copy().post("/slow", {"key": "late"})])
        here.stage.gate.await_arrivals(1)
        visitor.post("/start", {"subject": "subject-of-ada"})
        here.stage.gate.open()

        (answer,) = slow.all()

        assert COOKIE not in answer.cookies
        assert visitor.who() == "ada"
        assert visitor.data() == {"cart": 1}
        assert here.rows == 2

    def test_rev_04_what_is_revoked_while_a_request_is_under_way_is_dead_for_the_next(self, here: Premises) -> None:
        ada = here.logged_in()
        slow = Together([lambda: ada.copy().post("/slow", {"key": "late"})])
        here.stage.gate.await_arrivals(1)
        here.office.revoke_all(of="subject-of-ada")
        here.stage.gate.open()
        slow.all()

        assert ada.who() == "nobody"

    def test_a_post_with_evidence_needs_no_cookie(self, here: Premises) -> None:
        assert here.browser().post("/plain", headers=OWN).text == "plain"
