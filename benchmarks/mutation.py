"""How many small changes to signing, the schemes and verifying the tests notice: mutmut, over a copy of the project.

Run it with ``nox -s mutation``. It takes an hour or so on two processors. The survivors are argued, one by one, in
``results/mutation-verify.md``; ``results/mutation-verify.json`` is what this script writes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent
ROOMS = ["keys", "signing", "checks", "verify", "schemes/*"]
TESTS = "schemes messages senders quick verify signing signing_keys signature_vectors crypto_vectors".split()
# Tests that start an interpreter of their own, which would not see the mutant, or that read the source itself.
NOT_THESE = "loads or under_bb or documentation_runs or says_where_it_comes_from"
SELECTED = [*(f"tests/test_{name}.py" for name in TESTS), "-k", f"not ({NOT_THESE})"]
# Decorators that change nothing at run time but that mutmut passes over, with the whole function.
NO_OPS = re.compile(r"^ *@(?:final|lru_cache\(.*\).*)\n(?= *(?:@.*\n *)*def )", re.MULTILINE)
CONFIG = f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = {json.dumps([f"src/hookkit/{room}.py" for room in ROOMS])}
also_copy = ["src"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-q"]
pytest_add_cli_args_test_selection = {json.dumps(SELECTED)}
mutate_only_covered_lines = true
use_git_change_detection = false

[tool.pytest.ini_options]
markers = ["frameworks", "httpx2", "interop"]
"""


def prepare(place: Path) -> None:
    """Copy what is mutated and what notices it to `place`."""
    shutil.rmtree(place, ignore_errors=True)
    no_caches = shutil.ignore_patterns("__pycache__", "node_modules")
    shutil.copytree(PROJECT / "src", place / "src", ignore=no_caches)
    shutil.copytree(PROJECT / "tests", place / "tests", ignore=no_caches)
    for path in (place / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(NO_OPS.sub("", text), encoding="utf-8")
    (place / "pyproject.toml").write_text(CONFIG, encoding="utf-8")


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


def main() -> None:
    """Make the mutants, run the tests against each, and keep what came of it."""
    place = Path(sys.argv[1]).resolve()
    prepare(place)
    environment = {**os.environ, "CI": "1"}  # the same examples for every mutant
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2"]
    subprocess.run(command, cwd=place, check=True, env=environment)  # noqa: S603 - our own
    counts, missed = collect(place)
    noticed = counts["killed"] + counts["timeout"] + counts["segfault"]
    every = noticed + len(missed)
    kept = {
        "mutmut": version("mutmut"),
        "rooms": ROOMS,
        "mutants": every,
        "noticed": noticed,
        "score_percent": round(100 * noticed / every, 1),
        "counts": dict(counts),
        "survivors": missed,
    }
    (HERE / "results").mkdir(exist_ok=True)
    target = HERE / "results" / "mutation-verify.json"
    target.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{noticed} of {every} mutants were noticed, {kept['score_percent']} %; survivors are in {target.name}")


if __name__ == "__main__":
    main()
