"""What gunicorn and granian are told to serve."""

from __future__ import annotations

from tests.doors.apart import make_application

application = make_application()
