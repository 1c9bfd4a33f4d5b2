"""What gunicorn and granian are told to serve."""

from __future__ import annotations

import logging

from tests.doors.apart import Caretaker

logging.basicConfig(level=logging.DEBUG)  # whatever is logged is to be looked through
application = Caretaker()
