"""The pages a visitor meets: templates, one stylesheet, one message catalogue, and our own Jinja environment.

The environment is ours in every door and in the server, so a page looks and behaves the same beside Flask, Django or
nothing at all. Every text stands in `coatcheck.web.pages.messages`; every file of the look in `assets/`. Pages need no
JavaScript and load nothing from elsewhere (HDR-03).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from coatcheck.errors import ConfigurationError
from coatcheck.web.pages import messages, reference

if TYPE_CHECKING:
    import jinja2
    import markupsafe

__all__ = ["PATHS", "Asset", "Pages"]

PATHS: Mapping[str, str] = {
    "home": "/",
    "sign_up": "/signup",
    "log_in": "/login",
    "log_out": "/logout",
    "reauthenticate": "/reauthenticate",
    "account": "/account",
    "change_password": "/account/password",
    "revoke_session": "/account/sessions/revoke",
    "revoke_others": "/account/sessions/revoke-others",
    "docs": "/docs",
    "openapi": "/openapi.json",
}

_ASSETS = {
    "stylesheet": ("coatcheck", "css", "text/css; charset=utf-8"),
    "icon": ("icon", "svg", "image/svg+xml"),
}

# What a page may leave out. `csrf_token` is not among them: a form without one must fail loudly, here and not at 403.
_DEFAULTS: Mapping[str, object] = {
    "account": None,
    "subject": None,
    "errors": (),
    "values": {},
    "notice": None,
    "next": None,
    "development": False,
}


_log = logging.getLogger("coatcheck")


class Asset(NamedTuple):
    """A file of the look. Its name holds a hash of its content, so whoever has it may keep it for ever."""

    body: bytes
    content_type: str
    etag: str


class Pages:
    """Renders pages under one mount prefix. Safe to share between threads; reads its files once, at construction.

    Args:
        prefix: where the pages are mounted, without a trailing slash: "" for the server, "/auth" for a door.
        templates: a folder whose files win over ours of the same name; its `assets/` likewise. A file that does nothing
            there, such as one whose name is misspelt, is named in the log.
        application: where the application begins that we are a part of, for the way back; None if there is none.

    Raises:
        ConfigurationError: jinja2 is not installed, the folder does not exist, or a template in it cannot be read.
    """

    def __init__(self, *, prefix: str = "", templates: Path | None = None, application: str | None = None) -> None:
        if templates is not None and not templates.is_dir():
            raise ConfigurationError(f"the template folder {templates} does not exist: create it or leave it out")
        self._prefix = prefix
        self._assets: dict[str, Asset] = {}
        self._paths = dict(PATHS)
        for key, (stem, suffix, content_type) in _ASSETS.items():
            body = _asset_bytes(f"{stem}.{suffix}", templates)
            mark = sha256(body).hexdigest()[:8]
            name = f"{stem}.{mark}.{suffix}"
            self._assets[name] = Asset(body, content_type, f'"{mark}"')
            self._paths[key] = f"/assets/{name}"
        self._environment = _environment(templates)
        spoken: dict[str, Any] = {"t": messages.text, "path": self.path, "application": application}
        shaped: dict[str, Any] = {
            "duration": messages.duration,
            "operations_by_tag": reference.groups,
            "refusal_members": reference.refusal_members,
        }
        self._environment.globals.update(spoken)
        self._environment.filters.update(shaped)
        if templates is not None:
            _look_at(templates, self._environment)

    def path(self, name: str, **query: str | None) -> str:
        """Give the path of a page, mount prefix included, with the query members that are not None."""
        given = {key: value for key, value in query.items() if value is not None}
        return self._prefix + self._paths[name] + ("?" + urlencode(given) if given else "")

    def render(self, template: str, **context: object) -> bytes:
        """Render a template to UTF-8. Everything from the context is escaped; a missing variable is an error."""
        page = self._environment.get_template(template).render({**_DEFAULTS, **context})
        # A lone surrogate cannot be written as UTF-8; what a stranger typed must not turn an answer into a 500.
        return page.encode("utf-8", "replace")

    def asset(self, name: str) -> Asset | None:
        """Give the asset of this name, the last part of its path, or None: a name without its hash is not served."""
        return self._assets.get(name)


def _environment(templates: Path | None) -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise ConfigurationError("pages need jinja2: pip install 'coatcheck[pages]'") from error
    ours = jinja2.PackageLoader("coatcheck.web.pages", "templates")
    loader = ours if templates is None else jinja2.ChoiceLoader([jinja2.FileSystemLoader(templates), ours])
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=templates is not None,
    )
    spoken: dict[str, Any] = {"csrf_field": jinja2.pass_context(_csrf_field)}
    environment.globals.update(spoken)
    return environment


def _csrf_field(context: jinja2.runtime.Context) -> markupsafe.Markup:
    """Write the hidden field of a form, as the doors' own templates have it."""
    from markupsafe import Markup

    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(context.resolve("csrf_token"))


def _look_at(folder: Path, environment: jinja2.Environment) -> None:
    """Find at start what would be a 500 for a visitor, or no change at all and no word of it."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    found = {path.relative_to(folder).as_posix(): path for path in files}
    ours = {*template_names(), *(f"assets/{stem}.{suffix}" for stem, suffix, _ in _ASSETS.values())}
    used: set[str | None] = set()
    waiting: set[str | None] = set(ours)
    while waiting:
        name = waiting.pop()
        used.add(name)
        if name in found and found[name].suffix == ".html":
            waiting |= _named_in(name, found[name], environment) - used
    # A name that is only known when a page is rendered may be any of them.
    idle = [] if None in used else sorted(found.keys() - used)
    if idle:
        names = ", ".join(sorted(ours))
        _log.warning("templates: %s: nothing of ours has this name; we have %s", ", ".join(idle), names)


def _named_in(name: str, path: Path, environment: jinja2.Environment) -> set[str | None]:
    """Name the templates that one extends, includes or imports; None stands for a name that it makes itself."""
    import jinja2
    from jinja2 import meta

    try:
        environment.get_template(name)
        return set(meta.find_referenced_templates(environment.parse(path.read_text("utf-8"))))
    except jinja2.TemplateSyntaxError as error:
        raise ConfigurationError(f"templates: {name}, line {error.lineno}: {error.message}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"templates: {name} is not UTF-8: {error.reason}") from error


def template_names() -> list[str]:
    """Name our templates: what a folder of one's own can replace, and the parts that they are made of."""
    return sorted(file.name for file in resources.files("coatcheck.web.pages").joinpath("templates").iterdir())


def _asset_bytes(name: str, templates: Path | None) -> bytes:
    if templates is not None and (templates / "assets" / name).is_file():
        return (templates / "assets" / name).read_bytes()
    return resources.files("coatcheck.web.pages").joinpath("assets", name).read_bytes()
