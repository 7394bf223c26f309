"""The paths of the command line: what it prints, whatever it is given and whatever fails."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from unittest.mock import patch
from urllib.parse import urlsplit

from receiver_paths import AT, BODY
from stage import HEADERS, PATH, PAYLOAD, QUERY, Stage

from canaries import CANARIES, KEYS
from hookkit import Endpoint
from hookkit.__main__ import _parser, main
from hookkit._listen.server import listen
from hookkit.clock import SYSTEM_CLOCK
from hookkit.testing import sign_request
from hookkit.testing.loopback import LoopbackServer
from transcripts import run as python

__all__ = ["FIRST", "commands", "operating", "rekeying", "run"]

HEADER = HEADERS["x-api-key"]
FIRST, NEXT = (base64.b64encode(bytes(key)).decode() for key in CANARIES["vault"])  # type: ignore[arg-type]
DSN = str(CANARIES["dsn"][0])


def commands(stage: Stage) -> None:
    """``hookkit verify``, ``listen`` and ``demo``: what verifies, what does not, and what cannot be read."""
    del stage  # they print, and what is printed is searched
    with TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("headers", "body", "key", "bad")}
        headers = sign_request(BODY, KEYS["whsec"], at=AT)
        secret = {"authorization": HEADER, "cookie": HEADER, "x-token": HEADER}
        files["headers"].write_text(json.dumps(headers | secret), "utf-8")
        files["body"].write_bytes(BODY)
        files["key"].write_text(KEYS["whsec"], "utf-8")
        files["bad"].write_text("whsec_!" + KEYS["whsec"], "utf-8")
        verify = ["verify", "--headers", str(files["headers"]), "--body", str(files["body"])]
        for more in (
            ["--key-file", str(files["key"]), "--now", AT.isoformat()],
            ["--key-file", str(files["key"]), "--now", AT.isoformat(), "--json"],
            ["--key-file", str(files["key"])],
            ["--key-file", str(files["key"]), "--scheme", "github"],
            ["--key-file", str(files["bad"])],
            ["--key-file", str(files["bad"]), str(files["key"])],
            ["--key-env", KEYS["plain"]],
            ["--key-file", KEYS["plain"]],
            ["--key", KEYS["whsec"]],
            ["--tolerance", KEYS["plain"]],
            ["--now", KEYS["plain"]],
        ):
            with suppress(SystemExit):
                main([*verify, *more])
        _listening(files["key"])
    main(["demo"])


def _listening(key: Path) -> None:
    """Have ``listen`` shown a request with credentials in its headers and its URL."""
    told: SimpleQueue[str] = SimpleQueue()

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            told.put(text)
            return sys.stdout.write(text)

    arguments = _parser().parse_args(["listen", "--port", "0", "--count", "1", "--key-file", str(key)])
    thread = threading.Thread(target=listen, args=(arguments, Output(), Output()))
    thread.start()
    port = int(re.findall(r":(\d+)/", told.get(timeout=10))[0])
    headers = {**sign_request(b"{}", KEYS["whsec"]), "authorization": HEADER, "x-api-key": HEADER, "cookie": HEADER}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"/hook?token={QUERY}", b"{}", headers)
    connection.getresponse().read()
    connection.close()
    thread.join(10)


def run(*arguments: str, keys: str | None = None, **variables: str) -> None:
    """Run a command, whatever it comes to."""
    given = {} if keys is None else {"HOOKKIT_VAULT_KEYS": keys}
    with patch.dict(os.environ, given | variables), suppress(SystemExit):
        main(arguments)


def rekeying(stage: Stage) -> None:
    """``hookkit rekey``: keys that are right, wrong, missing, or where they do not belong; and other databases."""
    stage.register()
    file = str(stage.folder / stage.FILE)
    keys_file, odd_file = stage.folder.parent / "keys", stage.folder.parent / "odd"
    keys_file.write_text(f"k1={FIRST}", "utf-8")
    keys_file.chmod(0o644)  # it complains
    odd_file.write_bytes(b"\xff" + FIRST.encode())
    both = f"k2={NEXT},k1={FIRST}"
    for keys in (None, "", "x", f"k1={FIRST},k1={FIRST}", f"k1={FIRST[:-6]}", f"{FIRST}={NEXT}!", NEXT, f"k2={NEXT}"):
        run("rekey", file, "--dry-run", keys=keys)
        run("rekey", file, keys=keys)
    for path in (str(keys_file), str(odd_file), "none", FIRST, str(stage.folder)):
        run("rekey", file, "--keys-file", path, "--dry-run")
    for database in (
        f"k1={FIRST}",
        f"mysql://user:{DSN}@127.0.0.1/x",
        f"sqlite://user:{DSN}@127.0.0.1/x",
        f"user:{DSN}@127.0.0.1://x",
        str(stage.folder / "none.db"),
        str(odd_file),
        str(stage.folder),
    ):
        run("rekey", database, keys=both)
    run("rekey", file, "--batch", FIRST, keys=both)
    run("rekey", file, "--vault-key", f"k1={FIRST}", keys=both)
    run("rekey", file, "--dry-run", keys=both)
    run("rekey", file, keys=both)
    assert set(stage.store.seals()) == {"k2"}


def operating(stage: Stage) -> None:
    """``hookkit worker`` and ``hookkit doctor``, as processes: well, without the right key, and wrongly asked."""
    file = str(stage.folder / stage.FILE)
    with LoopbackServer() as server:
        for path in ("status/204", "status/500", "hang-up"):
            url = server.url(f"/{path}?token={QUERY}&path={PATH}")
            stage.registry(clock=SYSTEM_CLOCK).create(Endpoint(url, "*", headers=HEADERS, keys=KEYS["whsec"]))
        port = str(urlsplit(server.url("")).port)
        allowed = ["--allow-http", "--allow-port", port, "--allow-network", "127.0.0.0/8"]
        for log in (["--log-format", "json"], ["--log-level", "debug"]):
            stage.dispatcher(clock=SYSTEM_CLOCK).emit("user.created", PAYLOAD)
            _process("worker", file, "--drain", *log, *allowed, keys=f"k1={FIRST}")
        assert len(server.received) >= 4
    stage.dispatcher(clock=SYSTEM_CLOCK).emit("user.created", PAYLOAD)
    for keys in (f"k1={FIRST}", f"k1={NEXT}", f"k1={FIRST}x"):
        _process("worker", file, "--drain", "--log-level", "debug", keys=keys)
        _process("doctor", file, "--json", keys=keys)
    for command in ("worker", "doctor"):
        _process(command, f"postgresql://user:{DSN}@127.0.0.1:1/x", keys=f"k1={FIRST}")
        _process(command, f"user:{DSN}@127.0.0.1://x", keys=f"k1={FIRST}")
    _process("worker", file, "--lease", NEXT, keys=f"k1={FIRST}")


def _process(*arguments: str, keys: str) -> None:
    done = python("-m", "hookkit", *arguments, HOOKKIT_VAULT_KEYS=keys)
    sys.stdout.write(done.stdout + done.stderr)
