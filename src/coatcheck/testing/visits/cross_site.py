# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Requests that another site's page may have sent: refused before the application sees them."""

from __future__ import annotations

import json

import pytest

from coatcheck.testing.scene import PASSWORD
from coatcheck.testing.visits.browsers import AS_JSON, COOKIE, FORM, JSON, ORIGIN, OWN, Premises
from coatcheck.testing.visits.house import Fields
from coatcheck.testing.visits.telling import OpenHouse, Stories
from coatcheck.web.door import Exemption

EVIL = "https://evil.example"
TRUSTED = "https://spa.example.org"

# Headers of a post with a session cookie, and whether it is let in (CSR-02).
TABLE: dict[str, tuple[Fields, bool]] = {
    "CSR-02 same origin": ((("Sec-Fetch-Site", "same-origin"),), True),
    "CSR-02 typed by hand": ((("Sec-Fetch-Site", "none"),), True),
    "CSR-02 same origin, whatever Origin says": ((("Sec-Fetch-Site", "same-origin"), ("Origin", EVIL)), True),
    "CSR-02 cross site": ((("Sec-Fetch-Site", "cross-site"),), False),
    "CSR-02 cross site, with our Origin": ((("Sec-Fetch-Site", "cross-site"), ("Origin", ORIGIN)), False),
    "CSR-02 cross site, of a trusted one": ((("Sec-Fetch-Site", "cross-site"), ("Origin", TRUSTED)), True),
    "CSR-03 a sibling host": ((("Sec-Fetch-Site", "same-site"),), False),
    "CSR-02 a value nobody has defined": ((("Sec-Fetch-Site", "same-origin2"),), False),
    "CSR-02 an empty value": ((("Sec-Fetch-Site", ""),), False),
    "CSR-02 our Origin": ((("Origin", ORIGIN),), True),
    "CSR-04 our Origin and a port": ((("Origin", f"{ORIGIN}:8443"),), False),
    "CSR-04 our Origin over plain http": ((("Origin", ORIGIN.replace("https", "http")),), False),
    "CSR-04 our Origin and more": ((("Origin", f"{ORIGIN}.evil.example"),), False),
    "CSR-04 our Origin with a user": ((("Origin", "https://app.example.org@evil.example"),), False),
    "CSR-02 another Origin": ((("Origin", EVIL),), False),
    "CSR-02 Origin null": ((("Origin", "null"),), False),
    "CSR-02 a Referer of ours": ((("Referer", f"{ORIGIN}/page?x=1"),), True),
    "CSR-02 another Referer": ((("Referer", f"{EVIL}/{ORIGIN}/"),), False),
    "CSR-02 nothing": ((), False),
}


class CrossSiteStories(Stories):
    """Evidence that a request comes from a page of ours, asked of every method that may change something."""

    @pytest.mark.parametrize(("headers", "passes"), TABLE.values(), ids=TABLE)
    def test_csr_01_csr_02_csr_03_csr_04_csr_12_a_post_that_a_cookie_decides_needs_evidence(
        self, open_house: OpenHouse, headers: Fields, passes: bool
    ) -> None:
        """Refused, it has not reached the application: nothing has changed."""
        here = open_house(trusted_origins=[TRUSTED])
        here.account("ada")
        ada = here.logged_in()

        answer = ada.post("/data", {"x": 1}, headers)

        assert answer.status == (200 if passes else 403)
        assert ada.data() == ({"x": 1} if passes else {})

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "PROPFIND"])
    def test_csr_01_csr_10_every_method_but_the_safe_ones_is_judged(self, here: Premises, method: str) -> None:
        ada = here.logged_in()

        answer = ada.send(method, "/data", [JSON, ("Sec-Fetch-Site", "cross-site")], b'{"x": 1}')

        assert answer.status in (403, 405, 501)
        assert ada.data() == {}

    def test_csr_01_an_anonymous_session_is_defended_too(self, here: Premises) -> None:
        visitor = here.browser()
        visitor.store(cart=1)

        assert visitor.post("/data", {"cart": 2}, [("Sec-Fetch-Site", "cross-site")]).status == 403

        assert visitor.data() == {"cart": 1}

    @pytest.mark.parametrize(
        "headers", [[("Sec-Fetch-Site", "cross-site")], [("Origin", EVIL)], [("Origin", "null")]], ids=str
    )
    def test_csr_01_fix_01_fix_02_another_site_begins_no_session(self, here: Premises, headers: Fields) -> None:
        """`SameSite` keeps the visitor's cookie away from its post; the answer would still push that cookie out."""
        answer = here.browser().post("/data", {"cart": "the attacker's"}, headers)

        assert answer.cookies == {}
        assert here.rows == 0

    def test_csr_01_another_site_logs_nobody_in(self, here: Premises) -> None:
        """Or its visitor would go on as the attacker, and leave behind what belongs to nobody else's account."""
        for headers in ([("Sec-Fetch-Site", "cross-site")], [("Origin", EVIL)]):
            for path, fields in (
                ("/log-in", {"identifier": "ada", "password": PASSWORD, "remember": False}),
                ("/start", {"subject": "subject-of-ada"}),
                ("/auth/api/login", {"identifier": "ada", "password": PASSWORD}),
            ):
                answer = here.browser().post(path, fields, headers)

                assert (answer.status, answer.cookies) == (403, {}), path
        assert here.rows == 0

    def test_csr_01_another_site_logs_nobody_out(self, here: Premises) -> None:
        ada = here.logged_in()

        for path in ("/log-out", "/auth/api/logout"):
            assert ada.post(path, {}, [("Sec-Fetch-Site", "cross-site")]).status == 403
        answer = ada.send("POST", "/auth/logout", [FORM, ("Sec-Fetch-Site", "cross-site")], b"")
        assert answer.status == 403

        assert ada.who() == "ada"

    def test_csr_06_csr_07_a_token_of_this_session_is_evidence_too(self, here: Premises) -> None:
        ada = here.logged_in()
        token = ada.get("/csrf").text

        assert ada.post("/data", {"x": 1}, [("X-CSRF-Token", token)]).status == 200

        body = f"csrf_token={token}".encode()
        assert ada.send("POST", "/plain", [FORM], body).text == "plain", "in a form, its field"

    def test_csr_06_csr_07_csr_08_fix_04_no_other_token_is(self, here: Premises) -> None:
        ada, bob, stranger = here.logged_in("ada"), here.logged_in("bob"), here.browser()
        of_stranger = stranger.get("/csrf").text
        of_ada = ada.get("/csrf").text
        ada.post("/start", {"subject": "subject-of-ada"})
        wrong = {
            "another's": bob.get("/csrf").text,
            "a stranger's": of_stranger,
            "one from before the log-in": of_ada,
            "cut short": ada.get("/csrf").text[:-1],
            "empty": "",
            "not ASCII": "\xe9" * 64,
        }

        for words, token in wrong.items():
            assert ada.post("/data", {"x": 1}, [("X-CSRF-Token", token)]).status == 403, words
        good = ada.get("/csrf").text
        assert ada.send("POST", f"/data?csrf_token={good}", [JSON], b'{"x": 1}').status == 403
        assert ada.data() == {}

    def test_csr_08_a_stranger_posts_a_form_with_the_token_of_its_page(self, here: Premises) -> None:
        visitor = here.browser()
        token = visitor.get("/csrf").text
        assert f"{COOKIE}-pre" in visitor.jar

        assert visitor.post("/start", {"subject": "subject-of-ada"}, [("X-CSRF-Token", token)]).text == "in"

        thief = here.browser()
        answer = thief.send("POST", "/start", [FORM, ("X-CSRF-Token", token)], b'{"subject": "x"}')
        assert answer.status in (403, 415, 422), "403, or the framework found no JSON in it"
        assert here.rows == 1

    def test_cky_02_cky_14_the_helper_cookie_is_guarded_like_the_session(self, here: Premises) -> None:
        visitor = here.browser()

        cookie = visitor.get("/csrf").set_cookie(f"{COOKIE}-pre")

        assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
        assert here.rows == 0

    def test_csr_09_a_program_without_cookies_passes_with_strict_json(self, here: Premises) -> None:
        body = json.dumps({"subject": "subject-of-ada"}).encode()

        assert here.send("POST", "/start", [JSON], body).text == "in"
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json, text/plain"):
            assert here.send("POST", "/start", [("Content-Type", kind)], body).status in (403, 415, 422)
        assert here.rows == 1

    def test_csr_09_calls_of_ours_take_json_alone(self, here: Premises) -> None:
        body = json.dumps({"identifier": "ada", "password": PASSWORD}).encode()

        for kind in ("text/plain", "Text/Plain;application/json", "multipart/form-data"):
            assert here.send("POST", "/auth/api/login", [*OWN, ("Content-Type", kind)], body).status == 415

    def test_csr_10_nothing_but_the_method_says_what_the_method_is(self, here: Premises) -> None:
        ada = here.logged_in()

        for headers in ([("X-HTTP-Method-Override", "DELETE")], [("X-HTTP-Method", "POST")]):
            ada.get("/auth/api/sessions", headers)
            ada.get("/log-out?_method=POST", headers)

        assert ada.who() == "ada"

    def test_csr_11_nobody_is_told_that_other_origins_may_read(self, here: Premises) -> None:
        ada = here.logged_in()
        for origin in (EVIL, "null", ORIGIN + ".evil.example"):
            for path in ("/who", "/auth/api/me", "/auth/login"):
                answer = ada.get(path, [("Origin", origin), ("Sec-Fetch-Site", "cross-site")])

                assert answer.all("access-control-allow-origin") == []
                assert answer.all("access-control-allow-credentials") == []

    def test_csr_14_an_exempted_path_knows_nobody(self, open_house: OpenHouse) -> None:
        here = open_house(csrf_exempt={"/data": Exemption("posted by a payment provider")})
        here.account("ada")
        ada = here.logged_in()

        answer = ada.copy().post("/data", {"x": 1}, [("Origin", EVIL)])

        assert answer.status == 200
        assert ada.data() == {}

    def test_csr_14_unless_its_exemption_says_that_it_may(self, open_house: OpenHouse) -> None:
        here = open_house(csrf_exempt={"/data": Exemption("harmless", allow_cookie=True)})
        here.account("ada")
        ada = here.logged_in()

        assert ada.post("/data", {"x": 1}, [("Origin", EVIL)]).status == 200

        assert ada.data() == {"x": 1}

    def test_dua_01_dua_02_another_credential_changes_nothing_and_excuses_from_nothing(self, here: Premises) -> None:
        ada = here.logged_in()
        assert ada.get("/who", [("Authorization", "Basic YWRhOng=")]).text == "ada"
        assert here.browser().get("/who", [("Authorization", "Basic YWRhOng=")]).text == "nobody"

        for credential in ("Basic YWRhOng=", "Bearer x", ""):
            headers = [("Authorization", credential), ("Sec-Fetch-Site", "cross-site"), *AS_JSON]
            assert ada.post("/data", {"x": 1}, headers).status in (401, 403)
        assert ada.data() == {}

    @pytest.mark.parametrize("host", ["evil.example", "app.example.org.evil.example", "app.example.org:8443", "x@y"])
    def test_hst_01_csr_05_a_host_that_is_not_ours_gets_nothing(self, here: Premises, host: str) -> None:
        ada = here.logged_in()
        here.stage.steps.clear()

        for path in ("/who", "/plain", "/auth/login"):
            answer = ada.get(path, [("Host", host)])

            assert answer.status in (400, 421), path
            assert answer.cookies == {}
        assert ada.post("/data", {"x": 1}, [("Host", host), ("Origin", f"https://{host}")]).status in (400, 421)
        assert here.stage.steps == []

    def test_hst_02_no_header_tells_us_where_we_are(self, here: Premises) -> None:
        spoofed = [
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "http"),
            ("Forwarded", "host=evil.example;proto=http"),
            ("X-Original-URL", "/auth/logout"),
            ("Accept", "text/html"),
        ]

        answer = here.browser().get("/mine", spoofed)

        assert (answer.status, answer.one("location")) == (303, "/auth/login?next=%2Fmine")
        assert "evil" not in here.browser().get("/auth/login", spoofed).text

    def test_rat_04_a_clients_address_is_what_trusted_proxies_say(self, open_house: OpenHouse) -> None:
        told = [*OWN, ("X-Forwarded-For", "203.0.113.9, 198.51.100.7")]

        plain = open_house()
        plain.browser().post("/start", {"subject": "ada"}, told)
        behind = open_house(trusted_proxies=["127.0.0.0/8"], trusted_hops=1, cookie_name="behind")
        here = behind.browser()
        here.post("/start", {"subject": "cora"}, told)

        assert [session.ip for session in plain.office.sessions(of="ada")] == ["127.0.0.1"]
        assert [session.ip for session in behind.office.sessions(of="cora")] == ["198.51.100.7"]
