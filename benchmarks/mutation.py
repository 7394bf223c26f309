"""How many small changes to some rooms of the house their tests notice: mutmut, over a copy of the project.

Run it with ``nox -s mutation``, or for one set of rooms ``nox -s mutation -- targets``. The set ``receiving`` takes an
hour or so on two processors, ``targets`` some minutes. For each set this script writes ``results/mutation-SET.json``;
the survivors are argued, one by one, in ``results/mutation-SET.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PROJECT = HERE.parent


class Rooms(NamedTuple):
    """What is mutated, and what should notice it.

    Args:
        mutated: Files under ``src/hookkit``, without ``.py``.
        tests: Files under ``tests``, likewise.
        left_out: Tests that could not see a mutant or would always see one, as pytest's ``-k`` has it: those that start
            an interpreter of their own, and those that read the source itself.
    """

    mutated: list[str]
    tests: list[str]
    left_out: str


SETS = {
    "receiving": Rooms(
        mutated=["keys", "signing", "checks", "headers", "verify", "schemes/*"],
        tests=[
            *("test_schemes", "test_messages", "test_senders", "test_quick", "test_verify", "test_signing"),
            *("test_signing_keys", "test_signature_vectors", "test_crypto_vectors"),
        ],
        left_out="loads or under_bb or documentation_runs or says_where_it_comes_from",
    ),
    "targets": Rooms(
        mutated=["targets", "transports/_route"],
        tests=["test_targets", "test_ssrf_vectors", "transports/test_addresses"],
        left_out="forked",
    ),
}
# Decorators that change nothing at run time but that mutmut passes over, with the whole function.
NO_OPS = re.compile(r"^ *@(?:final|lru_cache\(.*\).*)\n(?= *(?:@.*\n *)*def )", re.MULTILINE)
CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {mutated}
also_copy = ["src"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-q"]
pytest_add_cli_args_test_selection = {selected}
mutate_only_covered_lines = true
use_git_change_detection = false

[tool.pytest.ini_options]
markers = ["frameworks", "hostile", "httpx2", "interop", "services"]
"""


def config(rooms: Rooms) -> str:
    """Return the settings for one set."""
    mutated = [f"src/hookkit/{room}.py" for room in rooms.mutated]
    selected = [*(f"tests/{name}.py" for name in rooms.tests), "-k", f"not ({rooms.left_out})", "-m", "not httpx2"]
    return CONFIG.format(mutated=json.dumps(mutated), selected=json.dumps(selected))


def prepare(place: Path, rooms: Rooms) -> None:
    """Copy what is mutated and what notices it to `place`."""
    shutil.rmtree(place, ignore_errors=True)
    no_caches = shutil.ignore_patterns("__pycache__", "node_modules")
    shutil.copytree(PROJECT / "src", place / "src", ignore=no_caches)
    shutil.copytree(PROJECT / "tests", place / "tests", ignore=no_caches)
    for path in (place / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(NO_OPS.sub("", text), encoding="utf-8")
    (place / "pyproject.toml").write_text(config(rooms), encoding="utf-8")


def collect(place: Path) -> tuple[Counter[str], list[str]]:
    """Return how many mutants came to which end, and a diff for each that was not noticed."""
    listed = run(place, "results", "--all", "true").splitlines()
    ends = dict(line.strip().rsplit(": ", 1) for line in listed if ": " in line)
    ends = {name: end for name, end in ends.items() if name.startswith("hookkit.")}
    missed = [name for name, end in ends.items() if end in {"survived", "no tests", "suspicious"}]
    return Counter(ends.values()), [run(place, "show", name).strip() for name in missed]


def run(place: Path, *arguments: str) -> str:
    """Run mutmut at `place`, and return what it prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own


def measure(place: Path, name: str, children: int) -> None:
    """Make the mutants of one set, run the tests against each, and keep what came of it."""
    rooms = SETS[name]
    prepare(place, rooms)
    environment = {**os.environ, "CI": "1"}  # the same examples for every mutant
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
    subprocess.run(command, cwd=place, check=True, env=environment)  # noqa: S603 - our own
    counts, missed = collect(place)
    noticed = counts["killed"] + counts["timeout"] + counts["segfault"]
    every = noticed + len(missed)
    kept = {
        "mutmut": version("mutmut"),
        "rooms": rooms.mutated,
        "mutants": every,
        "noticed": noticed,
        "score_percent": round(100 * noticed / every, 1),
        "counts": dict(counts),
        "survivors": missed,
    }
    (HERE / "results").mkdir(exist_ok=True)
    target = HERE / "results" / f"mutation-{name}.json"
    target.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{name}: {noticed} of {every} mutants were noticed, {kept['score_percent']} %; the rest is in {target.name}")


def main() -> None:
    """Measure the sets that were asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("place", type=Path, help="a folder to work in, which is emptied")
    parser.add_argument("sets", nargs="*", help=f"which rooms, of {', '.join(SETS)}; all of them if none is named")
    parser.add_argument("--children", type=int, default=2, help="how many mutants at once")
    given = parser.parse_args()
    unknown = set(given.sets) - SETS.keys()
    if unknown:
        parser.error(f"there is no set {', '.join(sorted(unknown))}")
    for name in given.sets or SETS:
        measure(given.place.resolve() / name, name, given.children)


if __name__ == "__main__":
    main()
