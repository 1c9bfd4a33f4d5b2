"""The standard library's WSGI server on a port: `python -m tests.serving_wsgiref PORT MODULE:ATTRIBUTE`."""

from __future__ import annotations

import sys
from importlib import import_module
from wsgiref.simple_server import make_server
from wsgiref.validate import validator

if __name__ == "__main__":
    module, _, attribute = sys.argv[2].partition(":")
    application = getattr(import_module(module), attribute)
    # The standard library's judge of PEP 3333 stands between: it stops at the first thing that a server must not see.
    make_server("127.0.0.1", int(sys.argv[1]), validator(application)).serve_forever()
