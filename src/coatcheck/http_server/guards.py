"""Guards for the methods of a handler: who may not pass is answered before the method begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from coatcheck.errors import ConfigurationError
from coatcheck.http_server.handler import CoatcheckHandler

H = TypeVar("H", bound=CoatcheckHandler)
P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[H, P], R]


def login_required(method: Method[H, P, R]) -> Method[H, P, R]:
    """Let in whoever is logged in; a page sends others to log in, anything else is 401."""

    @functools.wraps(method)
    def guarded(self: H, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.coatcheck.require_session()
        return method(self, *args, **kwargs)

    return guarded


def fresh_login_required(method: Method[H, P, R]) -> Method[H, P, R]:
    """Let in whoever has proven identity in the last five minutes (a setting); others are asked to do it again."""

    @functools.wraps(method)
    def guarded(self: H, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.coatcheck.require_fresh()
        return method(self, *args, **kwargs)

    return guarded


def same_account_required(name: str) -> Callable[[Method[H, P, R]], Method[H, P, R]]:
    """Let in the one account whose subject is the method's argument `name`; others who are logged in get 403."""

    def decorate(method: Method[H, P, R]) -> Method[H, P, R]:
        signature = inspect.signature(method)
        if name not in signature.parameters:
            raise ConfigurationError(f"same_account_required: {method.__qualname__} takes no argument {name!r}")

        @functools.wraps(method)
        def guarded(self: H, /, *args: P.args, **kwargs: P.kwargs) -> R:
            self.coatcheck.require_subject(signature.bind(self, *args, **kwargs).arguments[name])
            return method(self, *args, **kwargs)

        return guarded

    return decorate
