"""The ASGI doors: `CoatcheckMiddleware` before an application, `CoatcheckASGI` for our pages and calls alone.

They work under any ASGI server, translate, and decide nothing. `coatcheck.starlette` and `coatcheck.fastapi` build on
the first, the bundled server on the second.
"""

from coatcheck.asgi.messages import Message, Receive, Scope, Send, request_of, send_reply
from coatcheck.asgi.middleware import CoatcheckMiddleware
from coatcheck.asgi.pages import CoatcheckASGI
from coatcheck.web.door import Exemption
from coatcheck.web.passage import Passage
from coatcheck.web.session_data import SessionData

__all__ = [
    "CoatcheckASGI",
    "CoatcheckMiddleware",
    "Exemption",
    "Message",
    "Passage",
    "Receive",
    "Scope",
    "Send",
    "SessionData",
    "request_of",
    "send_reply",
]
