"""A receiver on FastAPI.

WEBHOOK_KEY=whsec_... python examples/standard_receiver/fastapi_app.py --port 8001
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from work import Work, settings

from hookkit import PayloadError, Verified
from hookkit.contrib.starlette import webhook

DATABASE, KEYS = settings()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Work for as long as the server runs."""
    with Work(DATABASE) as work:
        app.state.work = work
        yield


app = FastAPI(lifespan=lifespan)
Webhook = Annotated[Verified, Depends(webhook(KEYS))]  # without a key, this ends the start


@app.post("/hooks")
def receive(verified: Webhook, request: Request) -> Response:  # no `async`: it waits for a database, on a thread
    """Receive a webhook. What does not verify has been answered with 401. Declare no body: FastAPI would parse it."""
    work: Work = request.app.state.work
    try:
        receipt = work.take(verified)
    except PayloadError:  # signed, and no event
        return Response(status_code=400)
    return Response(status_code=receipt.status, headers=dict(receipt.headers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Receive webhooks, signed with WEBHOOK_KEY.")
    parser.add_argument("--port", type=int, default=8001, help="default: 8001; 0: any free one")
    uvicorn.run(app, port=parser.parse_args().port)
