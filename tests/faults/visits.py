"""What visitors of a server hear while its store is in trouble, and after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.serving import PASSWORD, Answer, Server, Visitor


class Guests:
    """Ada, logged in since before the trouble, and whoever comes meanwhile."""

    def __init__(self, server: Server, name: str = "ada") -> None:
        self.server = server
        self.name = name
        self.visitor = Visitor(server)
        assert self.visitor.sign_up(name).status == 201
        assert self.visitor.log_in(name).status == 200
        self._csrf_token = self.visitor.get("/api/csrf").json["csrf_token"]
        self._others = 0

    def are_refused_when_they_write(self) -> None:
        """Everything that has to be kept is refused in the proper form, and sets no cookie."""
        calls = [self.log_in, self._sign_up, self._log_out]
        with ThreadPoolExecutor(len(calls)) as at_once:  # each may wait as long as the store has patience
            for answer in at_once.map(lambda call: call(), calls):
                is_unavailable(answer)

    def can_read(self) -> None:
        """What needs no writing goes on."""
        assert self.visitor.me().json["account"]["username"] == self.name
        assert self.visitor.get("/account").status == 200
        assert len(self.visitor.sessions()) >= 1
        assert Visitor(self.server).me().status == 401

    def are_refused_altogether(self) -> None:
        """Nobody is told anything of accounts or sessions, and nobody is anonymous for it (ERR-01)."""
        self.are_refused_when_they_write()
        is_unavailable(self.visitor.copy().me())
        page = self.visitor.copy().get("/account")
        assert (page.status, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
        is_unavailable(self.visitor.get("/readyz"))

    def are_well(self) -> None:
        """Everything works, the session from before included."""
        assert self.visitor.me().status == 200
        assert self.log_in().status == 200
        assert self._sign_up().status == 201
        assert self.visitor.get("/readyz").status == 200

    def _log_out(self) -> Answer:
        headers = {"X-CSRF-Token": self._csrf_token}
        return self.visitor.copy().send("POST", "/api/logout", headers=headers)

    def log_in(self) -> Answer:
        return Visitor(self.server).log_in(self.name)

    def _sign_up(self) -> Answer:
        self._others += 1
        return Visitor(self.server).sign_up(f"{self.name}-{self._others}", PASSWORD)


def is_unavailable(answer: Answer) -> None:
    assert (answer.status, answer.reason) == (503, "store_unavailable"), answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.cookies == []


def workers_of(server: Server) -> list[int]:
    """The processes that answer visitors."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(pid) for pid in children.read_text().split()]
