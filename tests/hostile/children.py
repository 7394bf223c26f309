"""Python processes that are asked one thing after another, a line of JSON each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

__all__ = ["Child", "answer_all"]

HERE = Path(__file__).resolve().parent


class Child:
    """A file of this directory, run as a script.

    Args:
        script: The file's name. It calls :func:`answer_all`.
    """

    def __init__(self, script: str) -> None:
        paths = [str(HERE.parent / "transports"), os.environ.get("PYTHONPATH", "")]  # wire_server.py is there
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def ask(self, question: Any) -> Any:
        """Return the answer to `question`."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process has ended, which it should not")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer_all(answer: Callable[[Any], Any]) -> None:
    """Answer what the parent asks, until it asks no more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
