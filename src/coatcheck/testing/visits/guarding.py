# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Who is let in where, where visitors are sent, and what they hear while the store is down."""

from __future__ import annotations

import pytest

from coatcheck.errors import ConfigurationError
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.testing.patience import eventually
from coatcheck.testing.scene import PASSWORD
from coatcheck.testing.visits.browsers import AS_JSON, COOKIE, JSON, NAVIGATION, OWN, Premises
from coatcheck.testing.visits.house import House, Stage
from coatcheck.testing.visits.telling import OpenHouse, Stories
from coatcheck.web.door import Exemption

# What a log-in that was asked to lead there leads to instead: the default page.
ASTRAY = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "/%5cevil.example",
    "https:evil.example",
    "https://evil.example",
    "///evil.example",
    "javascript:alert(1)",
    " //evil.example",
    "/.//evil.example",
    "@evil.example",
    "/auth/logout",
    "/%0d%0aSet-Cookie:x=1",
    "/" + "a" * 2048,
]


class GuardStories(Stories):
    """Guards of the application's routes."""

    def test_hdr_10_a_stranger_on_a_page_is_sent_to_log_in_and_back(self, here: Premises) -> None:
        answer = here.browser().get("/mine?tab=2", NAVIGATION)

        assert (answer.status, answer.one("location")) == (303, "/auth/login?next=%2Fmine%3Ftab%3D2")

    def test_hdr_10_anything_else_hears_401_with_a_challenge(self, here: Premises) -> None:
        for headers in (AS_JSON, [("Accept", "image/*"), ("Sec-Fetch-Dest", "image")]):
            answer = here.browser().get("/mine", headers)

            assert answer.status == 401
            assert answer.all("www-authenticate")
            assert answer.all("location") == []

    def test_whoever_is_logged_in_is_let_in(self, here: Premises) -> None:
        assert here.logged_in().get("/mine").text == "mine"

    def test_ses_13_an_anonymous_session_is_nobody(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(x=1)

        for path in ("/mine", "/fresh", "/users/subject-of-ada", "/users/None", "/users/"):
            assert visitor.get(path, AS_JSON).status in (401, 404), path

    def test_another_accounts_page_is_refused(self, here: Premises) -> None:
        ada = here.logged_in()

        assert ada.get("/users/subject-of-ada").text == "yours"
        for other in ("subject-of-bob", "subject-of-ad", "SUBJECT-OF-ADA", "subject-of-ada%20"):
            answer = ada.get(f"/users/{other}", AS_JSON)
            assert (answer.status, answer.reason) == (403, "forbidden"), other
        assert here.browser().get("/users/subject-of-ada", AS_JSON).status == 401

    def test_stp_01_stp_07_what_wants_a_recent_proof_asks_for_it_after_five_minutes(self, here: Premises) -> None:
        recent, old = here.logged_in(age=299), here.logged_in(age=300)

        assert recent.get("/fresh").text == "fresh"
        answer = old.get("/fresh", AS_JSON)
        assert (answer.status, answer.reason) == (401, "insufficient_user_authentication")
        assert 'max_age="300"' in (answer.one("www-authenticate") or "")
        answer = old.get("/fresh", NAVIGATION)
        assert (answer.status, answer.one("location")) == (303, "/auth/reauthenticate?next=%2Ffresh")
        assert old.get("/mine").text == "mine"

    def test_rem_03_stp_04_being_remembered_is_no_proof(self, here: Premises) -> None:
        ada = here.logged_in(remember=True, age=10 * 86_400)

        assert ada.who() == "ada"
        assert ada.get("/fresh", AS_JSON).status == 401

    def test_hdr_01_a_refusal_is_stored_by_nobody(self, here: Premises) -> None:
        for browser in (here.browser(), here.logged_in(age=600)):
            for path in ("/fresh", "/users/somebody-else"):
                for headers in (AS_JSON, NAVIGATION):
                    answer = browser.get(path, headers)

                    assert "no-store" in answer.listed("cache-control")
                    assert "cookie" in answer.listed("vary")


class RedirectStories(Stories):
    """Where a log-in leads."""

    @pytest.mark.parametrize("target", ASTRAY)
    def test_red_01_red_03_red_04_red_05_a_log_in_leads_nowhere_else(self, here: Premises, target: str) -> None:
        from urllib.parse import quote

        ada = here.logged_in()

        answer = ada.get(f"/auth/login?next={quote(target, safe='')}", NAVIGATION)

        assert (answer.status, answer.one("location"), answer.cookies) == (303, "/", {})
        assert ada.who() == "ada"

    def test_red_06_what_stands_twice_leads_nowhere(self, here: Premises) -> None:
        for query in ("next=/a&next=/b", "next[]=/a", "next="):
            assert here.logged_in().get(f"/auth/login?{query}", NAVIGATION).one("location") == "/"

    def test_red_01_a_path_of_ours_is_where_it_leads(self, here: Premises) -> None:
        answer = here.logged_in().get("/auth/login?next=/mine%3Ftab%3D2%26x", NAVIGATION)

        assert (answer.status, answer.one("location")) == (303, "/mine?tab=2&x")

    def test_red_02_other_hosts_only_if_they_are_named(self, open_house: OpenHouse) -> None:
        here = open_house(redirect_hosts=["shop.example.org"])
        here.account("ada")
        ada = here.logged_in()

        def led(target: str) -> str | None:
            return ada.get(f"/auth/login?next={target}", NAVIGATION).one("location")

        assert led("https://shop.example.org/cart") == "https://shop.example.org/cart"
        for target in (
            "https://shop.example.org@evil.example",
            "http://shop.example.org/",
            "https://shop.example.org:8443/",
            "https://shop.example.org./",
            "https://sub.shop.example.org/",
        ):
            assert led(target) == "/", target


class TroubleStories(Stories):
    """A store that is down, or has a bug: never taken for "nobody is logged in"."""

    def test_err_01_a_store_that_is_down_is_503_and_never_a_stranger(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.trouble.is_everywhere = True

        for path in ("/who", "/data", "/look", "/mine", "/fresh", "/users/subject-of-ada", "/flashes", "/auth/api/me"):
            for headers in (AS_JSON, NAVIGATION):
                answer = ada.get(path, headers)

                assert answer.status == 503, path
                assert answer.one("retry-after") == "1"
                assert answer.cookies == {}, "it may be the cookie of somebody who is logged in"
                assert "nobody" not in answer.text

    def test_err_01_and_all_is_well_when_it_is_back(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.trouble.is_everywhere = True
        assert ada.get("/who").status == 503

        here.stage.trouble.is_everywhere = False

        assert ada.who() == "ada"

    def test_fix_07_a_session_that_could_not_begin_has_no_cookie(self, here: Premises) -> None:
        here.stage.trouble.at = {"start"}

        for path, fields in (
            ("/data", {"x": 1}),
            ("/start", {"subject": "subject-of-ada"}),
            ("/auth/api/login", {"identifier": "ada", "password": PASSWORD}),
        ):
            answer = here.browser().post(path, fields)

            assert answer.status == 503, path
            assert COOKIE not in answer.cookies

    def test_rat_08_no_counters_no_log_in(self, here: Premises) -> None:
        here.stage.trouble.is_everywhere = True

        for path in ("/log-in", "/auth/api/login"):
            fields = {"identifier": "ada", "password": PASSWORD, "remember": False}
            assert here.browser().post(path, fields, [*OWN, *AS_JSON]).status == 503

    def test_a_save_that_fails_is_503_and_the_data_is_as_it_was(self, here: Premises) -> None:
        ada = here.logged_in()
        ada.store(x=1)
        here.stage.trouble.at = {"patch"}

        assert ada.post("/data", {"x": 2}).status == 503

        here.stage.trouble.at = set()
        assert ada.data() == {"x": 1}

    def test_err_02_a_bug_in_a_check_lets_nobody_in(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.trouble.is_everywhere = True
        here.stage.trouble.error = lambda: RuntimeError("a bug")

        for path in ("/mine", "/fresh", "/users/subject-of-ada", "/who"):
            assert ada.get(path, AS_JSON).status == 500, path

    def test_a_log_out_that_fails_says_so(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.trouble.at = {"end", "end_by_id"}

        answer = ada.post("/log-out")

        assert answer.status == 503
        assert answer.cookies == {}
        here.stage.trouble.at = set()
        assert ada.who() == "ada"

    def test_a_last_seen_that_cannot_be_written_spoils_no_answer(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.clock.move(600)
        here.stage.trouble.at = {"touch"}

        assert ada.who() == "ada"


class StartStories(Stories):
    """Settings that cannot be: said at the start, all of them, each with its mend."""

    def test_err_03_every_mistake_in_the_settings_is_told_at_once(self, open_house: OpenHouse) -> None:
        with pytest.raises(ConfigurationError) as caught:
            open_house(
                prefix="auth/",
                namespace="not a name",
                public_url="http://app.example.org",
                trusted_hops=1,
                cookie_name="__Host-x",
                csrf_exempt={"hook": Exemption(" ")},
            )

        named = {problem.partition(":")[0] for problem in caught.value.problems}
        assert named >= {"prefix", "namespace", "public_url", "trusted_proxies", "cookie_name", "csrf_exempt"}

    def test_err_03_a_setting_that_does_not_exist_is_named(self, open_house: OpenHouse) -> None:
        with pytest.raises(ConfigurationError, match="prefx"):
            open_house(prefx="/auth")

    def test_cky_04_err_03_development_is_for_no_public_site(self, open_house: OpenHouse) -> None:
        with pytest.raises(ConfigurationError, match="development"):
            open_house(development=True, public_url="https://app.example.org")

    def test_err_03_a_desk_of_the_wrong_kind_is_refused(self, house: House) -> None:
        other = Coatcheck if house.desk_type is AsyncCoatcheck else AsyncCoatcheck

        with (
            pytest.raises(ConfigurationError, match="desk: this door needs"),
            house.open(other("memory://"), Stage(), development=True),
        ):
            raise AssertionError("it opened")


class AnswerStories(Stories):
    """What an answer says to caches, and what becomes of the session when it is no ordinary one."""

    def test_hdr_01_an_answer_that_looked_at_the_session_is_for_one_visitor(self, here: Premises) -> None:
        for browser in (here.browser(), here.logged_in()):
            for path in ("/who", "/data", "/look", "/flashes"):
                answer = browser.get(path)

                assert "cookie" in answer.listed("vary"), path
                assert answer.listed("cache-control") & {"private", "no-store"}, path

    def test_hdr_01_one_that_did_not_is_left_alone(self, here: Premises) -> None:
        answer = here.browser().get("/plain")

        assert "cookie" not in answer.listed("vary")
        assert answer.all("cache-control") == []

    def test_hdr_01_what_an_application_calls_public_is_not_when_it_is_personal(self, here: Premises) -> None:
        answer = here.logged_in().get("/public")

        assert answer.text == "ada"
        assert answer.listed("cache-control") == {"private", "max-age=60"}

    def test_hdr_01_what_has_begun_as_everybodys_looks_at_nobody_any_more(self, here: Premises) -> None:
        """Its headers have gone out and let caches keep it: it breaks off rather than say what is the visitor's."""
        visitor = here.browser()
        visitor.store(x=1)

        for browser in (visitor, here.browser()):
            answer = browser.get("/late-look")

            assert answer.text in ("one", "") or answer.status == 500
        assert visitor.data() == {"x": 1}

    def test_what_is_changed_while_an_answer_goes_out_is_kept(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(x=1)

        answer = visitor.get("/late-change")

        assert (answer.status, answer.text) == (200, "onetwo")
        eventually(lambda: visitor.data() == {"x": 1, "late": True}, "it was not kept")

    def test_hdr_02_a_log_in_and_a_log_out_are_stored_by_nobody(self, here: Premises) -> None:
        ada = here.browser()
        for path in ("/start", "/log-out"):
            answer = ada.post(path, {"subject": "subject-of-ada"})

            assert answer.listed("cache-control") == {"no-store"}
            assert "cookie" in answer.listed("vary")

    def test_a_streamed_answer_bears_the_cookie_and_is_whole(self, here: Premises) -> None:
        visitor = here.browser()

        answer = visitor.get("/stream")

        assert (answer.status, answer.text) == (200, "one two three")
        assert visitor.data() == {"streamed": True}

    def test_head_is_get_without_a_body(self, here: Premises) -> None:
        ada = here.logged_in()

        answer = ada.send("HEAD", "/who")

        assert (answer.status, answer.body) == (200, b"")
        assert "cookie" in answer.listed("vary")
        visitor = here.browser()
        assert visitor.send("HEAD", "/redirect").status == 303
        assert visitor.data() == {"redirected": True}

    def test_a_redirect_saves_what_was_changed(self, here: Premises) -> None:
        visitor = here.browser()

        answer = visitor.get("/redirect")

        assert (answer.status, answer.one("location")) == (303, "/plain")
        assert visitor.data() == {"redirected": True}

    def test_a_304_saves_what_was_changed(self, here: Premises) -> None:
        visitor = here.browser()

        answer = visitor.get("/not-modified")

        assert (answer.status, answer.body, answer.one("etag")) == (304, b"", '"1"')
        assert visitor.data() == {"seen": True}

    def test_a_handler_that_raises_keeps_nothing_of_the_session_data(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(kept=1)

        answer = visitor.post("/raise")

        assert answer.status == 500
        assert visitor.data() == {"kept": 1}
        assert here.browser().post("/raise").cookies == {}
        assert here.rows == 1

    def test_a_log_in_stands_even_if_the_handler_raises_after_it(self, here: Premises, house: House) -> None:
        visitor = here.browser()

        answer = visitor.post("/log-in-and-raise", {"subject": "subject-of-ada"})

        assert answer.status == 500
        assert len(here.office.sessions(of="subject-of-ada")) == 1
        if not house.answers_errors:
            assert answer.cookies == {}
            return
        assert answer.listed("cache-control") == {"no-store"}
        assert visitor.who() == "ada"
        assert visitor.data() == {}

    def test_hdr_03_hdr_05_hdr_06_hdr_07_pages_of_ours_come_with_their_headers(self, here: Premises) -> None:
        answer = here.browser().get("/auth/login", NAVIGATION)

        assert answer.status == 200
        assert "frame-ancestors 'none'" in (answer.one("content-security-policy") or "")
        assert answer.one("x-content-type-options") == "nosniff"
        assert answer.one("x-frame-options") == "DENY"
        assert answer.one("cross-origin-opener-policy") == "same-origin"
        assert answer.one("cross-origin-resource-policy") == "same-origin"
        assert answer.one("referrer-policy") == "strict-origin-when-cross-origin"
        assert answer.one("content-type") == "text/html; charset=utf-8"
        assert answer.listed("cache-control") == {"no-store"}

    def test_hdr_04_hdr_08_nothing_of_ours_speaks_for_the_whole_host(self, here: Premises) -> None:
        """Beside an application, whether the host is https only and what is dropped at log-out is its own affair."""
        ada = here.logged_in()

        for answer in (ada.get("/auth/login", NAVIGATION), ada.post("/auth/api/logout")):
            assert answer.all("strict-transport-security") == []
            assert answer.all("clear-site-data") == []

    def test_pages_stand_under_the_prefix_and_nowhere_else(self, open_house: OpenHouse) -> None:
        here = open_house(prefix="/accounts/me")

        assert here.browser().get("/accounts/me/login", NAVIGATION).status == 200
        assert here.browser().get("/accounts/me/api/me", AS_JSON).status == 401
        for path in ("/auth/login", "/login", "/accounts/mexico/login"):
            assert here.browser().get(path, NAVIGATION).status == 404, path

    def test_err_04_what_cannot_be_read_is_refused_without_an_echo(self, here: Premises) -> None:
        for body in (b"{", b"[]", b'"canary"', b'{"identifier": ["canary"], "password": "x"}', b"\xff", b'{"a": NaN}'):
            answer = here.send("POST", "/auth/api/login", [JSON, *OWN], body)

            assert answer.status == 400, body
            assert answer.one("content-type") == "application/problem+json"
            assert "canary" not in answer.text
        assert here.send("POST", "/auth/api/login", [JSON, *OWN], b" " * 70_000).status == 413

    def test_what_is_not_there_is_404(self, here: Premises) -> None:
        assert here.browser().get("/auth/api/nothing", AS_JSON).reason == "not_found"
        assert here.browser().get("/auth/nothing", NAVIGATION).status == 404
        assert here.browser().post("/auth/api/me", {}, [*OWN, *AS_JSON]).status == 405
