"""What verifying and signing cost, beside PyPI's ``standardwebhooks`` and beside the bare computation.

Run it with ``nox -s bench-verify``, or with both packages installed: ``python benchmarks/verify.py --write``. All of it
is measured in one process, in turn, so that a busy machine slows everything alike. What counts are the ratios.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import json
import os
import platform
import ssl
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from hookkit import SigningKey, VerificationError, verify_signature
from hookkit.schemes import GITHUB, SLACK, STANDARD, STRIPE

RESULTS = Path(__file__).parent / "results"
SIZES = {"256 B": 256, "1 KB": 1024, "8 KB": 8192, "64 KB": 65_536}
SECRET = bytes(range(32))
KEY = "whsec_" + base64.b64encode(SECRET).decode()
COMMON = {  # what a request has besides, behind a proxy
    "host": "receiver.example.com",
    "user-agent": "hookkit/0.1.0",
    "content-type": "application/json",
    "content-length": "1024",
    "accept": "*/*",
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
}

Case = dict[str, Callable[[], object]]
Figures = dict[str, dict[str, float]]


def measure(case: Case, runs: int, seconds: float) -> Figures:
    """Return the microseconds of each function: the median of all runs, and the least and the most of them.

    A run goes round the functions in small batches; what counts of each is its best batch, in which nobody else had the
    processor. All functions take turns within a run, so that a slow minute is slow for each of them.
    """
    counts = {name: calls_in(function, 0.0005) for name, function in case.items()}
    best: dict[str, list[float]] = {name: [] for name in case}
    for _ in range(runs):
        batches: dict[str, list[float]] = {name: [] for name in case}
        end = time.perf_counter() + seconds * len(case)
        while time.perf_counter() < end or not all(batches.values()):
            for name, function in case.items():
                batches[name].append(batch(function, counts[name]))
        for name, taken in batches.items():
            best[name].append(min(taken) * 1e6)
    return {name: spread(taken) for name, taken in best.items()}


def batch(function: Callable[[], object], count: int) -> float:
    """Return the seconds of one call, over so many of them."""
    started = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - started) / count


def calls_in(function: Callable[[], object], seconds: float) -> int:
    """Return how many calls take about that long."""
    function()
    return max(1, int(seconds / batch(function, 10)))


# --- What is measured -------------------------------------------------------------------------------------------------


def body_of(size: int) -> bytes:
    """Return a JSON body of that many bytes."""
    return b'{"type":"user.created","data":"' + b"x" * (size - 33) + b'"}'


def of_one_size(size: int) -> Case:
    """Return what is compared for a body of that size: one key as each library keeps it, ten headers."""
    body, key, at = body_of(size), SigningKey(KEY), datetime.now(UTC)
    signed = STANDARD.sign(body, (key,), id="msg_1", at=at)
    headers = {**COMMON, **signed}
    theirs, text, expected = Webhook(KEY), body.decode(), signed["webhook-signature"][3:].encode()
    message = b"msg_1.%d." % at.timestamp() + body

    def bare() -> bool:
        return hmac.compare_digest(base64.b64encode(hmac.digest(SECRET, message, "sha256")), expected)

    return {
        "verify_signature": lambda: verify_signature(body, headers, key),
        "standardwebhooks verify": lambda: theirs.verify(body, headers, json_parse=False),
        "hmac.digest and base64": bare,
        "STANDARD.sign": lambda: STANDARD.sign(body, (key,), id="msg_1", at=at),
        "standardwebhooks sign": lambda: theirs.sign("msg_1", at, text),
    }


def of_other_requests() -> Case:
    """Return what is compared at 1 KB: other forms of headers, other keys, other senders, wrong signatures."""
    body, key, at = body_of(1024), SigningKey(KEY), datetime.now(UTC)
    signed = STANDARD.sign(body, (key,), id="msg_1", at=at)
    headers, theirs = {**COMMON, **signed}, Webhook(KEY)
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    titled = {name.title(): value for name, value in headers.items()}
    rotated = [SigningKey("whsec_" + base64.b64encode(bytes(32)).decode()), key]
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    many = {**headers, "webhook-signature": " ".join([wrong] * 16)}
    one = {**headers, "webhook-signature": wrong}

    def refused(headers: dict[str, str]) -> None:
        try:
            verify_signature(body, headers, key)
        except VerificationError:
            return
        raise AssertionError("a wrong signature verified")

    case: Case = {
        "one good signature": lambda: verify_signature(body, headers, key),
        "standardwebhooks, the same": lambda: theirs.verify(body, headers, json_parse=False),
        "three headers only": lambda: verify_signature(body, signed, key),
        "standardwebhooks, three headers only": lambda: theirs.verify(body, signed, json_parse=False),
        "names in title case": lambda: verify_signature(body, titled, key),
        "pairs of bytes (ASGI)": lambda: verify_signature(body, pairs, key),
        "two keys, the second is right": lambda: verify_signature(body, headers, rotated),
        "one wrong signature": lambda: refused(one),
        "16 wrong signatures": lambda: refused(many),
    }
    for scheme in (GITHUB, STRIPE, SLACK):
        own = {**COMMON, **scheme.sign(body, [key], id="msg_1", at=at)}
        case[scheme.name] = lambda own=own, scheme=scheme: verify_signature(body, own, key, scheme=scheme)
    return case


BARE = "import json"
VERIFYING = f"""{BARE}
from hookkit import verify_signature
verify_signature(b"{{}}", {{headers}}, {KEY!r})
"""


def imports(pairs: int) -> Figures:
    """Return the milliseconds that importing and verifying once take beyond a bare interpreter with json, in pairs.

    What attrs takes of it is measured beside it, in the same turns.
    """
    headers = STANDARD.sign(b"{}", [KEY], id="msg_1", at=datetime.now(UTC))
    code = VERIFYING.replace("{headers}", repr(headers)).replace("{{}}", "{}")
    with_attrs = f"{BARE}, attrs"
    for each in (BARE, code, with_attrs):
        spawn(each)  # whatever is compiled or cached the first time
    taken: dict[str, list[float]] = {"wall": [], "cpu": [], "attrs alone, wall": []}
    for _ in range(pairs):
        bare, ours, attrs = spawn(BARE), spawn(code), spawn(with_attrs)
        taken["wall"].append((ours[0] - bare[0]) * 1e3)
        taken["cpu"].append((ours[1] - bare[1]) * 1e3)
        taken["attrs alone, wall"].append((attrs[0] - bare[0]) * 1e3)
    return {kind: spread(each) for kind, each in taken.items()}


def spread(taken: list[float]) -> dict[str, float]:
    """Return the median of the figures, the least and the most."""
    return {"median": statistics.median(taken), "least": min(taken), "most": max(taken)}


def spawn(code: str) -> tuple[float, float]:
    """Run `code` in a new interpreter; return its seconds from outside, and of the processor."""
    started = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, "-I", "-c", code], os.environ)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit("the interpreter that was measured has failed")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


# --- What comes of it -------------------------------------------------------------------------------------------------


def machine() -> dict[str, str]:
    """Return what the figures depend on, and nothing that names the machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "processor": f"{model}, {os.cpu_count()} of its cores",
        "load": f"{os.getloadavg()[0]:.1f} processes were waiting when it began",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        **{name: version(name) for name in ("hookkit", "standardwebhooks", "attrs")},
    }


def bars(sizes: dict[str, Figures], others: Figures, loading: Figures) -> list[tuple[str, str, float, bool]]:
    """Return what was promised: what, how much, what was measured, and whether it holds."""

    def ratio(figures: Figures, above: str, below: str) -> float:
        return figures[above]["median"] / figures[below]["median"]

    kilobyte = sizes["1 KB"]
    faster = ratio(kilobyte, "standardwebhooks verify", "verify_signature")
    few = ratio(others, "standardwebhooks, three headers only", "three headers only")
    signing = ratio(kilobyte, "standardwebhooks sign", "STANDARD.sign")
    wrong = ratio(others, "16 wrong signatures", "one good signature")
    found = [
        ("verify at 1 KB, times as fast as theirs", "≥ 2", faster, faster >= 2),
        ("… with three headers only", "≥ 2", few, few >= 2),
        ("sign at 1 KB, times as fast as theirs", "≥ 1.3", signing, signing >= 1.3),
        ("16 wrong signatures, times one good", "≤ 4", wrong, wrong <= 4),
        ("import and verify once, ms beyond json", "< 40", loading["wall"]["median"], loading["wall"]["median"] < 40),
    ]
    for size in ("8 KB", "64 KB"):
        bare = ratio(sizes[size], "verify_signature", "hmac.digest and base64")
        found.append((f"verify at {size}, times the bare HMAC", "≤ 2", bare, bare <= 2))
    return found


def table(sizes: dict[str, Figures], others: Figures, loading: Figures, about: dict[str, str]) -> str:
    """Return all of it as Markdown."""
    lines = [
        "# Verifying and signing",
        "",
        "Made by `nox -s bench-verify`; microseconds are medians (least–most) of the runs.",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", "| what | bar | measured | |", "| --- | --- | ---: | --- |"]
    lines += [
        f"| {what} | {bar} | {got:.2f} | {'met' if met else 'missed'} |"
        for what, bar, got, met in bars(sizes, others, loading)
    ]
    names = list(next(iter(sizes.values())))
    lines += ["", "| µs | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    lines += [
        f"| {size} | " + " | ".join(cell(figures[name]) for name in names) + " |" for size, figures in sizes.items()
    ]
    lines += ["", "| at 1 KB | µs |", "| --- | ---: |"]
    lines += [f"| {name} | {cell(figures)} |" for name, figures in others.items()]
    lines += [
        "",
        "| a new interpreter that imports and verifies once | ms beyond one that imports json |",
        "| --- | ---: |",
    ]
    lines += [f"| {kind} | {cell(figures)} |" for kind, figures in loading.items()]
    return "\n".join(lines) + "\n"


def cell(figures: dict[str, float]) -> str:
    """Return a median with its spread."""
    return f"{figures['median']:.2f} ({figures['least']:.2f}–{figures['most']:.2f})"


def main() -> None:
    """Measure, print the table, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="how often each is measured (default 7)")
    parser.add_argument("--seconds", type=float, default=0.4, help="how long each is measured in a run (default 0.4)")
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    about = machine()
    sizes = {name: measure(of_one_size(size), options.runs, options.seconds) for name, size in SIZES.items()}
    others = measure(of_other_requests(), options.runs, options.seconds)
    loading = imports(options.runs * 5)
    text = table(sizes, others, loading, about)
    print(text)
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "verify.md").write_text(text, encoding="utf-8")
        kept = {
            "about": about,
            "runs": options.runs,
            "microseconds": {**sizes, "at 1 KB": others},
            "import_milliseconds": loading,
            "bars": [
                {"what": what, "bar": bar, "measured": got, "met": met}
                for what, bar, got, met in bars(sizes, others, loading)
            ],
        }
        (RESULTS / "verify.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
