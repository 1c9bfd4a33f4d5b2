"""Cookie-based sessions with nothing but the standard library's `http.server`, and Coatcheck behind it.

    /        Welcome Stranger! or Welcome User!, and what is kept of the session
    /login   a form; logged in, it says so
    /logout  a button; logged out, it says so, and says too when there was nobody to log out

Sign up at /auth/signup, which Coatcheck brings along.
"""

import sys
from html import escape
from urllib.parse import urlsplit

from msgspec import Struct

from coatcheck import Coatcheck, InvalidCredentials
from coatcheck.http_server import CoatcheckHandler, CoatcheckServer

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif }}
  body {{ max-width: 34rem; margin: 3rem auto; padding: 0 1rem }}
  label, input {{ display: block; width: 100%; box-sizing: border-box }}
  input, button {{ font: inherit; padding: .4rem .6rem; margin-bottom: 1rem }}
  dt {{ opacity: .75 }} dd {{ margin: 0 0 .6rem; overflow-wrap: anywhere }}
  nav a {{ margin-right: 1rem }}
</style>
<h1>{title}</h1>
{content}
<nav><a href="/">Home</a> <a href="/login">Log in</a> <a href="/logout">Log out</a>
  <a href="/auth/signup">Sign up</a></nav>
"""


class Credentials(Struct):
    username: str
    password: str


class SessionHandler(CoatcheckHandler):
    def do_GET(self) -> None:
        self.dispatch({"/": self.home, "/login": self.login_form, "/logout": self.logout_form})

    def do_POST(self) -> None:
        self.dispatch({"/login": self.login, "/logout": self.logout})

    def dispatch(self, routes) -> None:
        routes.get(urlsplit(self.path).path, self.not_found)()

    def home(self) -> None:
        if self.account is None:
            self.page("Welcome Stranger!")
            return
        session = self.coatcheck.visit.session
        kept = {
            "user name": self.account.username,
            "user agent": session.user_agent,
            "IP address": session.ip,
            "expiry": f"{session.expires_at:%Y-%m-%d %H:%M:%S} UTC, if you do nothing until then",
        }
        rows = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in kept.items())
        self.page("Welcome User!", f"<dl>{rows}</dl>")

    def login_form(self, trouble: str = "") -> None:
        self.page(
            "Log in",
            f"""<p role="alert">{trouble}</p>
            <form method="post" action="/login">
              <label for="username">User name</label>
              <input id="username" name="username" autocomplete="username" required>
              <label for="password">Password</label>
              <input id="password" name="password" type="password" autocomplete="current-password" required>
              {self.csrf_field()}
              <button>Log in</button>
            </form>""",
            status=401 if trouble else 200,
        )

    def login(self) -> None:
        given = self.form(Credentials)
        try:
            self.coatcheck.log_in(given.username, given.password)
        except InvalidCredentials:
            self.login_form("Nobody has this name and this password.")
        else:
            self.page("Logged In")

    def logout_form(self) -> None:
        if self.account is None:
            self.page("Can't Log Out: No User Logged In")
        else:
            self.page(
                "Log out?", f'<form method="post" action="/logout">{self.csrf_field()}<button>Log out</button></form>'
            )

    def logout(self) -> None:
        ended = self.coatcheck.log_out()
        self.page("Logged Out" if ended else "Can't Log Out: No User Logged In")

    def not_found(self) -> None:
        self.page("Not Found", status=404)

    def csrf_field(self) -> str:
        return f'<input type="hidden" name="csrf_token" value="{self.coatcheck.csrf_token()}">'

    def page(self, title: str, content: str = "", *, status: int = 200) -> None:
        self.answer(PAGE.format(title=escape(title), content=content), status=status)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with Coatcheck("sqlite:///sessions.db") as desk:
        try:
            server = CoatcheckServer(("localhost", port), SessionHandler, desk, development=True)
        except OSError as error:
            sys.exit(f"Cannot listen on localhost:{port}: {error.strerror}. Name another: python app.py {port + 1}")
        with server:
            print(f"Open http://localhost:{port}/ and stop with Ctrl-C.", flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("Stopped. Who is logged in stays so.")
