"""What is run to show that hookkit works. Bare ``nox`` runs the tests alone; ``nox -l`` lists the rest."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]

HERE = Path(__file__).parent
PYPROJECT = nox.project.load_toml(HERE / "pyproject.toml")
FLOORS = runpy.run_path(str(HERE / "tests" / "floors.py"))

# An interpreter that is not on this machine is not fetched.
ENV = {"UV_PYTHON_DOWNLOADS": "never"}
PLAIN = [
    "-m",
    "not crash and not engines and not frameworks and not hostile and not interop and not services and not simulation",
]
# Where one is missing the tests are skipped aloud; where this is run none may be.
IMPORT_FRAMEWORKS = (
    "import aiohttp, django, fastapi, flask, litestar, openapi_spec_validator, quart, rest_framework, starlette"
)
# Where the plugin `apart` lies.
SERVICES = {"PYTHONPATH": str(HERE / "tests" / "services")}
# Half of their time the tests wait for sockets, disks and deadlines.
PROCESSES = ["--numprocesses=auto", "--maxprocesses=4"]


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group (PEP 735)."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


def run_tests(session: nox.Session, *install: str, paths: Sequence[str] = ()) -> None:
    """Install hookkit as given, and run the tests that need neither Node nor a web framework, nor much time."""
    session.install(*install, *group("test"), env=ENV)
    session.run("python", "-m", "pytest", *PLAIN, *PROCESSES, *paths, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on this Python, without extras."""
    run_tests(session, "-e", ".")


@nox.session(name="tests-3.12", python="3.12")
def tests_on_3_12(session: nox.Session) -> None:
    """Run the tests on Python 3.12."""
    run_tests(session, "-e", ".")


@nox.session(name="tests-httpx2")
def tests_on_httpx2(session: nox.Session) -> None:
    """Run the tests of what sends, with httpx2 and aiohttp beside httpx: nothing else knows them."""
    sending = [f"tests/test_{name}.py" for name in ("backlog", "courier", "demo", "examples", "laws", "seed", "worker")]
    run_tests(session, "-e", ".[aiohttp,httpx2]", paths=["tests/leaks", "tests/transports", *sending])


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the news fragments."""
    session.install(*group("lint"), env=ENV)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types: mypy, pyright, and that everything public has one."""
    session.install("-e", ".[httpx2]", *group("typing"), env=ENV)
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "hookkit", "--ignoreexternal")


def run_built(session: nox.Session) -> None:
    """Build the archives; run the source archive's tests against the installed wheel, without ``src`` and extras."""
    session.install(*group("build"), env=ENV)
    made = Path(session.create_tmp()).resolve()
    shutil.rmtree(made, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(made), silent=True)
    (archive,) = made.glob("*.tar.gz")
    (built,) = made.glob("*.whl")
    shutil.unpack_archive(archive, made, filter="data")
    unpacked = made / archive.name.removesuffix(".tar.gz")
    shutil.rmtree(unpacked / "src")
    session.install(str(built), *group("test"), env=ENV)
    session.chdir(unpacked)
    session.run("python", "-m", "pytest", "-m", f"{PLAIN[1]} and not httpx2", *PROCESSES, *session.posargs)


@nox.session(reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """Build the archives; on this Python, run the source archive's tests against the installed wheel."""
    run_built(session)


@nox.session(name="tests-3.13", python="3.13", reuse_venv=False)
def tests_on_3_13(session: nox.Session) -> None:
    """Build the archives; on Python 3.13, run the source archive's tests against the installed wheel."""
    run_built(session)


def run_frameworks(session: nox.Session) -> None:
    """Install the newest web frameworks that this Python can have, and receive in each of them."""
    session.install("-e", ".", *group("frameworks"), *group("test"), env=ENV)
    session.run("python", "-c", IMPORT_FRAMEWORKS)
    command = ["python", "-m", "pytest", "-m", "frameworks", *PROCESSES, "tests/frameworks", "tests/djangoapp"]
    session.run(*command, *session.posargs)


@nox.session
def frameworks(session: nox.Session) -> None:
    """Receive in web frameworks, run the recipes of ``docs/frameworks.md``, and a Django project with the app."""
    run_frameworks(session)


@nox.session(name="frameworks-3.13", python="3.13")
def frameworks_on_3_13(session: nox.Session) -> None:
    """The same on Python 3.13, without which some of them have no newer version."""
    run_frameworks(session)


@nox.session
def hostile(session: nox.Session) -> None:
    """Visit the museum of hostile servers: deadline, memory and verdict of each, and whole workers beside them all."""
    session.install("-e", ".[aiohttp,httpx2]", *group("test"), env=ENV)
    session.run("python", "-m", "pytest", "-m", "hostile", "tests/hostile", *session.posargs)


@nox.session
def services(session: nox.Session) -> None:
    """Store in PostgreSQL, and join the transactions of every kind of host; start the server if it is down."""
    session.install("-e", ".[postgres]", *group("services"), *group("test"), env=ENV)
    # Where one is missing tests are skipped aloud; here none may be.
    session.run("python", "-c", "import aiosqlite, asyncpg, django, psycopg, psycopg_pool, sqlalchemy")
    session.run("python", "tests/services/start.py")
    # Half of their time they wait for the server. Each process has a database of its own.
    options = [*PROCESSES, "--dist=worksteal", "-p", "apart"]
    session.run("python", "-m", "pytest", "-m", "services", "tests", *options, *session.posargs, env=SERVICES)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill emitters, workers and a PostgreSQL, fill disks, set clocks; ``-- --kill-seed 17``: other kills."""
    session.install("-e", ".[postgres]", *group("services"), *group("test"), env=ENV)
    # They wait for leases and patience most of their time; more processes would starve each other's workers.
    session.run("python", "-m", "pytest", "-m", "crash", "--numprocesses=2", "tests/crash", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Deliver on Celery, NATS and other engines, by the recipes of ``docs/engines.md``; start brokers that are down."""
    session.install("-e", ".[postgres,celery,nats]", *group("engines"), *group("test"), env=ENV)
    # Where one is missing tests are skipped aloud; here none may be.
    session.run("python", "-c", "import celery, dramatiq, nats, procrastinate, psycopg, redis, taskiq, taskiq_redis")
    session.run("python", "tests/services/start.py")
    session.run("python", "tests/engines/start.py", env={"PYTHONPATH": "tests"})
    session.run("python", "-m", "pytest", "-m", "engines", "tests/engines", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Exchange webhooks with receivers in JavaScript, and with the libraries of others in JavaScript and Python."""
    if not shutil.which("npm"):
        session.skip("npm is not on the PATH")
    session.install("-e", ".", *group("clients"), *group("test"), env=ENV)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    with session.chdir("tests/interop"):
        session.run(*command, external=True)
    session.run("python", "-c", "import slack_sdk, standardwebhooks, stripe, svix, twilio, workos")  # none is skipped
    session.run("python", "-m", "pytest", "-m", "interop", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Drive the applications under ``examples`` over HTTP, each with the newest of the packages that it names."""
    folders = sorted(path.parent for path in (HERE / "examples").glob("*/requirements.txt"))
    needed = [f"-r{folder / 'requirements.txt'}" for folder in folders]
    session.install("-e", ".[aiohttp]", *needed, *group("test"), env=ENV)
    for folder in folders:  # each is a program of its own, with modules of the same names
        session.run("python", "-m", "pytest", "-m", "examples", *PROCESSES, str(folder), *session.posargs)


@nox.session
def simulation(session: nox.Session) -> None:
    """Run two thousand histories full of faults, each from its seed; ``-- --seed 17``: that one alone."""
    session.install("-e", ".", *group("test"), env=ENV)
    options = [*PROCESSES, "--dist=worksteal"]
    session.run("python", "-m", "pytest", "-m", "simulation", "tests/simulation", *options, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure: all branches of the pure rooms, and at least 95 % of everything; runs what ``frameworks`` does, too."""
    session.install("-e", ".[aiohttp,httpx2]", *group("coverage"), env=ENV)
    session.run("python", "-c", IMPORT_FRAMEWORKS)
    session.run("coverage", "erase")
    most = ["-m", "not crash and not engines and not hostile and not interop and not services and not simulation"]
    command = ["coverage", "run", "-m", "pytest", "-q", *most, *PROCESSES, "--dist=worksteal"]
    session.run(*command, *session.posargs, env={"HOOKKIT_THOROUGH": "1"})
    session.run("coverage", "combine", "--quiet")
    pure = ",".join(f"src/hookkit/{room}{end}" for room in FLOORS["PURE"] for end in (".py", "/*"))
    session.run("coverage", "report", f"--include={pure}", "--fail-under=100")
    session.run("coverage", "report", "--fail-under=95", "--format=total")


# --- Not in CI: they take long, or their figures depend on the machine ------------------------------------------------


@nox.session(name="bench-verify")
def bench_verify(session: nox.Session) -> None:
    """Measure verifying and signing beside ``standardwebhooks``; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".", "standardwebhooks>=1.1", env=ENV)
    session.run("python", "benchmarks/verify.py", "--write", *session.posargs)


@nox.session(name="bench-hostile")
def bench_hostile(session: nox.Session) -> None:
    """Visit hostile servers with plain httpx and with hookkit; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".", "trustme>=1.2", env=ENV)
    session.run("python", "benchmarks/hostile.py", "--write", *session.posargs)


@nox.session(name="bench-guards", python=["3.11", "3.12", "3.13"])
def bench_guards(session: nox.Session) -> None:
    """Count what guards against internal addresses let through, on each Python; keep it in ``benchmarks/results``."""
    session.install("-e", ".", "drawbridge", "httpx-secure", "safehttpx", "ssrfguard", env=ENV)
    session.run("python", "benchmarks/guards.py", "--write", *session.posargs)


@nox.session(name="bench-connections")
def bench_connections(session: nox.Session) -> None:
    """Measure what a connection for each request costs; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".", "trustme", env=ENV)
    session.run("python", "benchmarks/connections.py", "--write", *session.posargs)


@nox.session(name="bench-fairness")
def bench_fairness(session: nox.Session) -> None:
    """Measure what endpoints that hang cost the others; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".[postgres]", "psycopg[binary]", env=ENV)
    session.run("python", "benchmarks/fairness.py", "--write", *session.posargs)


@nox.session(name="bench-latency")
def bench_latency(session: nox.Session) -> None:
    """Measure emit to receive beside a bare POST; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".[postgres]", "psycopg[binary]", env=ENV)
    session.run("python", "benchmarks/latency.py", "--write", *session.posargs)


@nox.session(name="bench-workers")
def bench_workers(session: nox.Session) -> None:
    """Measure deliveries a second with 1, 2 and 4 worker processes; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".[postgres]", "psycopg[binary]", env=ENV)
    session.run("python", "benchmarks/workers.py", "--write", *session.posargs)
    session.run("python", "docs/scaling.py")


@nox.session(name="bench-engines")
def bench_engines(session: nox.Session) -> None:
    """Measure deliveries a second through Celery and NATS; keep the figures in ``benchmarks/results``."""
    session.install("-e", ".[postgres,celery,nats]", *group("engines"), env=ENV)
    session.run("python", "tests/services/start.py")
    session.run("python", "tests/engines/start.py", env={"PYTHONPATH": "tests"})
    session.run("python", "benchmarks/engines.py", "--write", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz every parser of the receiving side with atheris, two minutes each; ``-- 10``: ten seconds each."""
    session.install("-e", ".", "atheris>=3", env=ENV)
    seconds = session.posargs[0] if session.posargs else "120"
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={session.create_tmp()}/", "-print_final_stats=1"]
    session.run("python", "tests/fuzz/receiving.py", "all", *options)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the simulation on seeds that nobody has run, a million steps; ``-- 5000000``: five million."""
    session.install("-e", ".", env=ENV)
    session.run("python", "tests/simulation/soak.py", *(session.posargs or ["1000000"]))


@nox.session(name="soak-crash")
def soak_crash(session: nox.Session) -> None:
    """Kill two hundred times from a seed that nobody has run; ``-- 1000``: a thousand times."""
    session.install("-e", ".[postgres]", *group("services"), *group("test"), env=ENV)
    session.run("python", "tests/crash/soak_kills.py", *(session.posargs or ["200"]))


@nox.session
def mutation(session: nox.Session) -> None:
    """Change rooms in many small ways, and count what the tests notice; ``-- targets``: that set of rooms alone."""
    session.install(*PYPROJECT["project"]["dependencies"], *group("test"), "mutmut>=3.8,<4", env=ENV)
    # Not within the session's environment: coverage, by which mutmut sees what tests run, leaves out what lies there.
    place = Path(session.cache_dir).resolve() / "mutation"
    session.run("python", "benchmarks/mutation.py", str(place), *session.posargs)
