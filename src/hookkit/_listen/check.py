"""``hookkit verify``: one request out of files."""

from __future__ import annotations

import argparse
from typing import Any, TextIO

from hookkit._listen.inputs import Problem, body_from, headers_from, keys_from
from hookkit._listen.screen import Screen, json_line
from hookkit.explain import Explanation, explain
from hookkit.plaintext import plain
from hookkit.schemes import BUILTIN

__all__ = ["as_json", "check", "explained"]


def check(arguments: argparse.Namespace, output: TextIO, errors: TextIO) -> int:
    """Verify a request, and write what came of it.

    Returns:
        0 if it verifies, 1 if not, 2 if there is something wrong with files, keys or options.
    """
    try:
        if [arguments.headers, arguments.body, *arguments.key_file].count("-") > 1:
            raise Problem("only one of the files can be standard input")
        keys = keys_from(arguments.key_env, arguments.key_file)
        if not keys:
            raise Problem("give the key with --key-env or --key-file")
        explanation = explained(arguments, body_from(arguments.body), headers_from(arguments.headers), keys)
    except Problem as problem:
        Screen(errors).line(f"hookkit verify: {plain(str(problem))}")
        return 2
    screen = Screen(output)
    for line in [json_line(as_json(explanation))] if arguments.json else _lines(explanation):
        screen.line(line)
    return 0 if explanation.ok else 2 if explanation.reason == "invalid_key" else 1


def explained(arguments: argparse.Namespace, body: bytes, headers: Any, keys: Any, **more: Any) -> Explanation:
    """Return the explanation of a request under the options of a command.

    Raises:
        Problem: The scheme signs the URL, and there is no ``--url``.
    """
    options = {"method": arguments.method, "url": arguments.url, **more}
    try:
        return explain(
            body,
            headers,
            keys,
            scheme=BUILTIN[arguments.scheme.upper()],
            now=arguments.now,
            tolerance=arguments.tolerance,
            **options,
        )
    except ValueError as error:
        raise Problem(f"{error} (--url, --method)") from None


def _lines(explanation: Explanation) -> list[str]:
    lines = [plain(line) for line in str(explanation).splitlines()]
    if explanation.verified is not None:
        lines.append(f"- process it once: its dedupe_key is {plain(explanation.verified.dedupe_key)}")
    return lines


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as what JSON can carry."""
    verified = explanation.verified
    return {
        "verified": explanation.ok,
        "reason": explanation.reason,
        "hint": explanation.hint,
        "id": None if verified is None else verified.id,
        "timestamp": None if verified is None or verified.timestamp is None else verified.timestamp.isoformat(),
        "dedupe_key": None if verified is None else verified.dedupe_key,
        "age_s": None if explanation.age is None else explanation.age.total_seconds(),
        "findings": [{"code": one.code, "certain": one.certain, "text": one.text} for one in explanation.findings],
        "facts": list(explanation.facts),
    }
