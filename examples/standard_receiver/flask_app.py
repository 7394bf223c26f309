"""A receiver on Flask.

WEBHOOK_KEY=whsec_... python examples/standard_receiver/flask_app.py --port 8001
"""

from __future__ import annotations

import argparse
import signal

from flask import Flask
from flask.typing import ResponseReturnValue
from work import Work, settings

from hookkit import PayloadError, Verified
from hookkit.contrib.flask import webhook

DATABASE, KEYS = settings()
app = Flask(__name__)


@app.post("/hooks")
@webhook(KEYS)  # without a key, this ends the start
def receive(verified: Verified) -> ResponseReturnValue:
    """Receive a webhook. What does not verify has been answered with 401 before this."""
    work: Work = app.extensions["work"]
    try:
        receipt = work.take(verified)
    except PayloadError:  # signed, and no event
        return "", 400
    return "", receipt.status, dict(receipt.headers)


def interrupt(*_: object) -> None:
    """End as at Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Receive webhooks, signed with WEBHOOK_KEY.")
    parser.add_argument("--port", type=int, default=8001, help="default: 8001; 0: any free one")
    signal.signal(signal.SIGTERM, interrupt)
    with Work(DATABASE) as app.extensions["work"]:
        app.run(port=parser.parse_args().port)  # in earnest, a server such as gunicorn's
