"""What may meet on a scene: every operation of a desk that changes or reads sessions, and what it promises.

A promise holds from the moment its operation was acknowledged, whatever else was under way. To add an operation, add
a line to `OPERATIONS`; it then meets all others. Partner module: `coatcheck.testing.meetings`, which arranges that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from coatcheck.core.views import Login
from coatcheck.testing.interleaving import Flow
from coatcheck.testing.scene import ADA, HERE, PASSWORD, Scene

Logins = Callable[[Scene], tuple[Login, ...]]


def none(_scene: Scene) -> tuple[Login, ...]:
    """No session."""
    return ()


def here(scene: Scene) -> tuple[Login, ...]:
    """The session that operations speak of."""
    return (scene.here,)


def there(scene: Scene) -> tuple[Login, ...]:
    """The other device."""
    return (scene.there,)


def both(scene: Scene) -> tuple[Login, ...]:
    """All sessions of ada's that were live."""
    return (scene.here, scene.there)


def everybody(scene: Scene) -> tuple[Login, ...]:
    """All sessions that were live."""
    return (scene.here, scene.there, scene.bystander)


def new_password(who: str) -> str:
    """Give the password that a player changes to."""
    return f"another long passphrase of {who}"


def _opponent(who: str) -> str:
    return "B" if who == "A" else "A"


@dataclass(frozen=True)
class Operation:
    """Something a request does; `flow` is given the scene and the player's name.

    Once acknowledged it has ended the sessions of `ends`, killed the tokens of `spends`, and saved what `writes` gives
    for the player, or added to `visits`, in the session here. `replaces` says that a new session took over from it.
    """

    name: str
    flow: Callable[[Scene, str], Flow[Any]]
    ends: Logins = none
    spends: Logins = none
    writes: Callable[[str], Mapping[str, object]] = lambda _: {}
    adds: int = 0
    replaces: bool = False
    proves_old_password: bool = False
    changes_password: bool = False
    before: Callable[[Scene], Flow[Any]] | None = None


def _value(who: str) -> dict[str, object]:
    return {"theme": {"of": who, "again": who}}


def _key(who: str) -> dict[str, object]:
    return {f"key of {who}": who}


OPERATIONS = (
    Operation(
        "sign_up",
        lambda scene, who: scene.flows.accounts.sign_up(
            username="Eve" if who == "A" else "eVE", email="eve@example.org", password=PASSWORD, client=HERE
        ),
    ),
    Operation(
        "sign_up_with_her_address",
        lambda scene, who: scene.flows.accounts.sign_up(
            username=f"eve-{who}", email="eve@Example.org", password=PASSWORD, client=HERE
        ),
    ),
    Operation(
        "sign_up_as_ada",
        lambda scene, _: scene.flows.accounts.sign_up(username="ADA", email=None, password=PASSWORD, client=HERE),
    ),
    Operation("log_in", lambda scene, _: scene.log_in("ada"), proves_old_password=True),
    Operation("log_in_with_the_new_password", lambda scene, who: scene.log_in("ada", new_password(_opponent(who)))),
    Operation(
        "log_in_replacing",
        lambda scene, _: scene.log_in("Ada", replaces=scene.here),
        spends=here,
        replaces=True,
        proves_old_password=True,
    ),
    Operation("start_session", lambda scene, _: scene.start()),
    Operation("start_session_replacing", lambda scene, _: scene.start(replaces=scene.here), spends=here, replaces=True),
    Operation("authenticate", lambda scene, _: scene.flows.sessions.authenticate(scene.here.token, touch=True)),
    Operation(
        "authenticate_too_late", lambda scene, _: scene.flows.sessions.authenticate(scene.stale.token, touch=True)
    ),
    Operation("renew", lambda scene, _: scene.flows.sessions.renew(scene.here.session)),
    Operation("edit", lambda scene, who: scene.edit(scene.here.session, **_value(who)), writes=_value),
    Operation("edit_another_key", lambda scene, who: scene.edit(scene.here.session, **_key(who)), writes=_key),
    Operation(
        "increment",
        lambda scene, _: scene.flows.data.increment(scene.here.session, "visits", by=1, namespace="app"),
        adds=1,
    ),
    Operation("rotate", lambda scene, _: scene.flows.sessions.rotate(scene.here.session), spends=here),
    Operation(
        "reauthenticate",
        lambda scene, _: scene.flows.log_ins.reauthenticate(scene.here.session, PASSWORD, client=HERE),
        spends=here,
    ),
    Operation(
        "change_password",
        lambda scene, who: scene.change_password(scene.here, new_password(who)),
        ends=there,
        spends=here,
        changes_password=True,
    ),
    Operation(
        "change_password_there",
        lambda scene, who: scene.change_password(scene.there, new_password(who)),
        ends=here,
        spends=there,
        changes_password=True,
    ),
    Operation("log_out", lambda scene, _: scene.flows.sessions.log_out(scene.here.token, client=HERE), ends=here),
    Operation(
        "revoke",
        lambda scene, _: scene.flows.oversight.revoke(scene.here.session.id, subject=ADA, note="", client=HERE),
        ends=here,
    ),
    Operation(
        "revoke_all",
        lambda scene, _: scene.flows.oversight.revoke_all(ADA, keep=None, note="", client=HERE),
        ends=both,
    ),
    Operation(
        "revoke_all_but_here",
        lambda scene, _: scene.flows.oversight.revoke_all(ADA, keep=scene.here.session.id, note="", client=HERE),
        ends=there,
    ),
    Operation("revoke_everybody", lambda scene, _: scene.flows.oversight.revoke_everybody(note=""), ends=everybody),
    Operation("disable", lambda scene, _: scene.flows.accounts.disable(ADA), ends=both),
    Operation(
        "enable",
        lambda scene, _: scene.flows.accounts.enable(ADA),
        ends=both,  # nothing comes back
        before=lambda scene: scene.flows.accounts.disable(ADA),
    ),
    Operation("unlock", lambda scene, _: scene.flows.accounts.unlock(ADA)),
    Operation("delete_account", lambda scene, _: scene.flows.accounts.delete(ADA), ends=both),
    Operation("purge", lambda scene, _: scene.flows.oversight.purge(batch=8, progress=None)),
)
