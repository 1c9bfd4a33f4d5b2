"""The door for the standard library's `http.server`: sessions, accounts and our pages, and HTTP/1.1 done properly.

    class Handler(CoatcheckHandler):
        def do_GET(self):
            self.answer(f"Welcome {self.account.username if self.account else 'Stranger'}!")

    with Coatcheck("sqlite:///app.db") as desk:
        with CoatcheckServer(("localhost", 8000), Handler, desk, development=True) as server:
            server.serve_forever()

`octets` is what comes over a connection, `handler` one request at a time, `server` all of them.
"""

from coatcheck.http_server.guards import fresh_login_required, login_required, same_account_required
from coatcheck.http_server.handler import CoatcheckHandler
from coatcheck.http_server.server import CoatcheckServer
from coatcheck.web.door import Exemption

__all__ = [
    "CoatcheckHandler",
    "CoatcheckServer",
    "Exemption",
    "fresh_login_required",
    "login_required",
    "same_account_required",
]
