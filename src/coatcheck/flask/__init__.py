"""The Flask door: sessions, messages and log-ins of a Flask application at the desk.

    desk = Coatcheck("sqlite:///app.db")
    app = Flask(__name__)
    CoatcheckFlask(app, desk)

From then on `flask.session` and `flash()` live on the server, our pages stand under `/auth`, and `current_account` is
whoever is logged in. `extension` puts the door into an application, `sessions` is what `flask.session` becomes, `views`
what an application calls.
"""

from __future__ import annotations

try:
    from coatcheck.flask.extension import CoatcheckFlask
except ModuleNotFoundError as error:
    raise ImportError("coatcheck.flask needs Flask: pip install 'coatcheck[flask]'") from error

from coatcheck.flask.sessions import ServerSession
from coatcheck.flask.views import (
    csrf_field,
    csrf_token,
    current_account,
    current_passage,
    fresh_login_required,
    log_in,
    log_out,
    login_required,
    same_account_required,
    sign_up,
    start_session,
)
from coatcheck.web.door import Exemption, csrf_exempt

__all__ = [
    "CoatcheckFlask",
    "Exemption",
    "ServerSession",
    "csrf_exempt",
    "csrf_field",
    "csrf_token",
    "current_account",
    "current_passage",
    "fresh_login_required",
    "log_in",
    "log_out",
    "login_required",
    "same_account_required",
    "sign_up",
    "start_session",
]
