# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Cookies that were planted, doubled, bent or sent to the wrong place: whoever sends them is nobody."""

from __future__ import annotations

import logging

import pytest

from coatcheck.testing.scene import PASSWORD
from coatcheck.testing.visits.browsers import AS_JSON, COOKIE, FORM, OWN, Browser, Premises
from coatcheck.testing.visits.telling import OpenHouse, Stories

SAME = "the token itself"

# What comes before and after a good token in the Cookie field, so that nobody may find it.
BENT = {
    "CKY-08 a Unicode blank before the name, UTF-8": "\xe2\x80\x80{name}={token}",
    "CKY-08 a Unicode blank before the name, Latin-1": "\xa0{name}={token}",
    "CKY-08 a blank that only Unicode knows": "\x85{name}={token}",
    "CKY-08 another case": "__HOST-coatcheck={token}",
    "CKY-08 a name in quotation marks": '"{name}"={token}',
    "CKY-08 a value in quotation marks": '{name}="{token}"',
    "CKY-08 a name percent-encoded": "%5f%5fHost-coatcheck={token}",
    "CKY-08 a value percent-encoded": "{name}=%41{token}",
    "CKY-08 a version before it": "$Version=1,{name}={token}",
    "CKY-08 a blank before the equals sign": "{name} ={token}",
    "CKY-09 a pair without a name": "={name}={token}",
    "CKY-09 a name without a value": "{name}",
    "CKY-09 an empty value": "{name}=",
    "CKY-06 a longer value": "{name}={token}A",
    "CKY-04 the name of development": "coatcheck-dev={token}",
    "CKY-01 the name without its prefix": "coatcheck={token}",
}
MALFORMED = ["A" * 42, "A" * 44, "A" * 5000, "'" * 43, "*" * 43, "A" * 42 + "=", "\xe9" * 43, "../" * 14 + "x"]


class CookieStories(Stories):
    """What is read from the Cookie field, and what is not."""

    @pytest.mark.parametrize("field", BENT.values(), ids=BENT)
    def test_cky_01_cky_04_cky_06_cky_08_cky_09_a_bent_cookie_is_nobodys(self, here: Premises, field: str) -> None:
        ada = here.logged_in()

        answer = here.send("GET", "/who", [("Cookie", field.format(name=COOKIE, token=ada.token))])

        assert answer.text == "nobody" or answer.status == 400
        assert ada.who() == "ada"

    def test_cky_08_other_cookies_beside_it_do_no_harm(self, here: Premises) -> None:
        ada = here.logged_in()

        field = f'a=1; b="quoted; still"; c; =d; {COOKIE}={ada.token}; e=%FC'

        assert here.send("GET", "/who", [("Cookie", field)]).text == "ada"

    def test_cky_08_nor_do_octets_beyond_ascii(self, here: Premises) -> None:
        ada = here.logged_in()

        field = f"a=ü; {COOKIE}={ada.token}; b=\U0001f9e5".encode().decode("latin-1")

        assert here.send("GET", "/who", [("Cookie", field)]).text == "ada"

    @pytest.mark.parametrize("first", [SAME, "another's", "malformed"])
    def test_cky_10_a_session_cookie_that_stands_twice_is_nobodys(self, here: Premises, first: str) -> None:
        ada, bob = here.logged_in("ada"), here.logged_in("bob")
        other = {SAME: ada.token, "another's": bob.token, "malformed": "x"}[first]

        for pair in ((other, ada.token), (ada.token, other)):
            field = "; ".join(f"{COOKIE}={value}" for value in pair)
            answer = here.send("GET", "/who", [("Cookie", field)])
            assert answer.text == "nobody"
            assert here.send("GET", "/mine", [("Cookie", field), *AS_JSON]).status == 401

    def test_cky_10_cky_11_nor_is_one_that_stands_in_two_fields(self, here: Premises) -> None:
        ada = here.logged_in()
        fields = [("Cookie", f"{COOKIE}={ada.token}")] * 2

        assert here.send("GET", "/who", fields).text == "nobody"

    def test_cky_11_a_second_field_is_read_or_damaged_but_never_taken_for_somebody_else(self, here: Premises) -> None:
        """Servers that join the two with a comma (RFC 9110 says so for other fields) damage the value."""
        ada = here.logged_in()

        fields = [("Cookie", "a=1"), ("Cookie", f"{COOKIE}={ada.token}")]

        assert here.send("GET", "/who", fields).text in ("ada", "nobody")

    def test_cky_12_more_cookies_than_anybody_has_are_not_read(self, here: Premises) -> None:
        ada = here.logged_in()
        good = f"{COOKIE}={ada.token}"
        many = "; ".join([good, *(f"c{number}=1" for number in range(200))])
        long = f"{good}; x={'a' * 16_400}"

        for field in (many, long):
            answer = here.send("GET", "/who", [("Cookie", field)])
            assert answer.text == "nobody" or answer.status in (400, 431)

    def test_cky_12_what_browsers_may_send_is_read(self, here: Premises) -> None:
        ada = here.logged_in()
        cookies = [f"c{number}={'a' * 300}" for number in range(20)]

        assert here.send("GET", "/who", [("Cookie", "; ".join([*cookies, f"{COOKIE}={ada.token}"]))]).text == "ada"

    def test_cky_13_a_token_is_read_from_nowhere_else(self, here: Premises) -> None:
        token = here.logged_in().token
        places: list[tuple[str, list[tuple[str, str]]]] = [
            (f"/who?{COOKIE}={token}&session={token}", []),
            ("/who", [("X-Session-Token", token)]),
            ("/who", [("Authorization", f"Bearer {token}")]),
            ("/who", [(COOKIE, token)]),
            ("/who", [("Set-Cookie", f"{COOKIE}={token}")]),
        ]

        for target, headers in places:
            assert here.send("GET", target, headers).text == "nobody"
        answer = here.send("POST", "/auth/logout", [FORM, *OWN], f"{COOKIE}={token}".encode())
        assert answer.status in (303, 403)
        assert not here.is_clear

    @pytest.mark.parametrize("value", MALFORMED)
    def test_tok_05_what_cannot_be_a_token_costs_no_query(self, here: Premises, value: str) -> None:
        answer = here.send("GET", "/who", [("Cookie", f"{COOKIE}={value}")])

        assert answer.text == "nobody" or answer.status == 400
        assert here.stage.steps == []

    def test_a_tampered_token_is_nobodys(self, here: Premises) -> None:
        """Whichever character is changed."""
        ada = here.logged_in()

        for place in (0, 1, 20, 41, 42):
            changed = "B" if ada.token[place] != "B" else "C"
            token = ada.token[:place] + changed + ada.token[place + 1 :]
            assert here.browser({COOKIE: token}).who() == "nobody"
        assert here.browser({COOKIE: ada.token.swapcase()}).who() == "nobody"

    def test_tok_03_tok_09_neither_digest_nor_public_id_opens_a_session(self, here: Premises) -> None:
        here.logged_in()
        (session,) = here.office.sessions(of="subject-of-ada")

        for value in (session.id, session.record.digest.hex(), (session.id * 3)[:43]):
            assert here.browser({COOKIE: value}).who() == "nobody"

    def test_tok_07_no_token_of_another_kind_opens_a_session(self, here: Premises) -> None:
        stranger, ada = here.browser(), here.browser()
        csrf = stranger.get("/csrf").text
        answer = ada.post("/auth/api/login", {"identifier": "ada", "password": PASSWORD})
        others = [value for name, value in (*answer.cookies.items(), *stranger.jar.items()) if name != COOKIE]
        assert others, "the helper cookies"

        for value in (csrf, csrf[:43], *others, *(other[:43] for other in others)):
            assert here.browser({COOKIE: value}).who() == "nobody"
        for name in (f"{COOKIE}-pre", f"{COOKIE}-device"):
            assert here.browser({name: ada.token}).who() == "nobody"

    def test_a_stale_cookie_leads_to_the_log_in_page_and_no_further(self, here: Premises) -> None:
        """No loop: the page that shows the form does not think that somebody is logged in."""
        ada = here.logged_in()
        ada.copy().post("/log-out")

        answer = ada.get("/mine", [("Accept", "text/html")])
        assert answer.status == 303
        page = ada.get(answer.one("location") or "", [("Accept", "text/html")])

        assert page.status == 200
        assert 'name="identifier"' in page.text
        assert COOKIE not in ada.jar, "a cookie whose session has certainly ended is taken away"

    def test_tok_10_log_03_no_token_and_no_password_is_logged(
        self, here: Premises, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        ada = Browser(here, {})
        ada.post("/log-in", {"identifier": "ada", "password": "a canary passphrase", "remember": False})
        ada.post("/start", {"subject": "subject-of-ada"})
        token = ada.token
        ada.post("/raise")
        ada.get("/who")
        ada.post("/log-out")

        written = caplog.text + "".join(capfd.readouterr())
        assert token not in written
        assert "canary" not in written

    def test_hdr_11_tok_10_no_answer_shows_a_trace_or_a_token(self, here: Premises) -> None:
        ada = here.logged_in()
        here.stage.trouble.at = {"patch"}
        here.stage.trouble.error = lambda: RuntimeError("a bug in a secret place")

        for answer in (ada.post("/raise"), ada.post("/data", {"x": 1})):
            assert answer.status == 500
            assert "Traceback" not in answer.text
            assert "secret place" not in answer.text
            assert ada.token not in answer.text


class DevelopmentStories(Stories):
    """On this machine only: plain http, a plainly named cookie."""

    def test_cky_04_development_has_a_cookie_of_its_own_for_loopback_hosts(self, open_house: OpenHouse) -> None:
        here = open_house(development=True)
        here.host, here.origin, here.cookie = "localhost", "http://localhost", "coatcheck-dev"
        here.account("ada")
        ada = here.browser()

        answer = ada.post("/start", {"subject": "subject-of-ada"})

        assert answer.set_cookie("coatcheck-dev").endswith("; Path=/; HttpOnly; SameSite=Lax")
        assert ada.who() == "ada"
        assert here.browser({COOKIE: ada.token}).who() == "nobody"
        for host in ("example.org", "localhost.example.org", "127.0.0.2", "192.168.1.2"):
            assert here.send("GET", "/who", [("Host", host)]).status == 421, host
