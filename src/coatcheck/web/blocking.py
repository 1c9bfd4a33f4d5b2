"""A passage for doors of blocking code: the same methods, each run to its end. One line each."""

from __future__ import annotations

from functools import cached_property
from typing import Generic

from coatcheck.colour import run_blocking
from coatcheck.core.views import A, Absent, Login, Session, Visit
from coatcheck.web.passage import Passage, ReadFormToken
from coatcheck.web.session_data import SessionData


class BlockingPassage(Generic[A]):
    """One request of an application of blocking code. What each method does stands at `Passage`."""

    def __init__(self, passage: Passage[A]) -> None:
        self.passage = passage

    @cached_property
    def session(self) -> SessionData:
        """The session data, read when first looked at."""
        passage = self.passage
        return SessionData(passage, lambda: run_blocking(passage.load()))

    @property
    def visit(self) -> Visit | Absent:
        """Who is there: found out when first asked."""
        return run_blocking(self.passage.visit())

    @property
    def account(self) -> A | None:
        """The account of whoever is logged in."""
        return run_blocking(self.passage.account())

    def admit(self, read_form_token: ReadFormToken, *, method: str | None = None) -> None:
        """Ask for evidence that the request comes from a page of ours."""
        run_blocking(self.passage.admit(read_form_token, method=method))

    def require_evidence(self, method: str) -> None:
        """Ask for it again, where `method` is no longer the one that the request came with."""
        run_blocking(self.passage.require_evidence(method))

    def require_session(self) -> Session:
        """Give the session of whoever is logged in."""
        return run_blocking(self.passage.require_session())

    def require_subject(self, subject: object) -> Session:
        """Let this very subject in and nobody else."""
        return run_blocking(self.passage.require_subject(subject))

    def require_fresh(self) -> Session:
        """Let in whoever has proven identity recently."""
        return run_blocking(self.passage.require_fresh())

    def csrf_token(self) -> str:
        """Make a token for a form of the application."""
        return self.passage.csrf_token()

    def load(self) -> None:
        """Read the session data."""
        run_blocking(self.passage.load())

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a counter in the session data, atomically."""
        return run_blocking(self.passage.increment(key, by))

    def save(self) -> bool:
        """Save what was changed."""
        return self.passage.is_loaded and run_blocking(self.passage.save())

    def flash(self, message: str, category: str = "message") -> None:
        """Keep a message for the next page."""
        run_blocking(self.passage.flash(message, category))

    def flashes(self) -> list[tuple[str, str]]:
        """Take the messages that wait."""
        return run_blocking(self.passage.flashes())

    def log_in(self, identifier: str, password: str, *, remember: bool = False) -> Login[A]:
        """Log in with a password."""
        return run_blocking(self.passage.log_in(identifier, password, remember=remember))

    def start_session(self, subject: str, *, methods: tuple[str, ...] = (), remember: bool = False) -> Login[A]:
        """Log in whoever has proven identity in another way."""
        return run_blocking(self.passage.start_session(subject, methods=methods, remember=remember))

    def sign_up(self, *, username: str | None = None, email: str | None = None, password: str) -> A:
        """Open an account."""
        return run_blocking(self.passage.sign_up(username=username, email=email, password=password))

    def log_out(self) -> bool:
        """End the session at once."""
        return run_blocking(self.passage.log_out())

    def log_out_everywhere(self) -> int:
        """End all sessions of whoever is logged in, this one too."""
        return run_blocking(self.passage.log_out_everywhere())

    def reauthenticate(self, password: str) -> Login[A]:
        """Prove identity again inside the session."""
        return run_blocking(self.passage.reauthenticate(password))

    def change_password(self, current_password: str, new_password: str) -> Login[A]:
        """Change the password; all other sessions end."""
        return run_blocking(self.passage.change_password(current_password, new_password))

    def finish(self) -> None:
        """Do what may wait until the answer is out."""
        self.passage.unseal()
        if self.passage.has_work_left:
            run_blocking(self.passage.finish())
