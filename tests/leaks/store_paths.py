"""The paths of storing: files that are locked, damaged, sealed by another, or the host's own; and vaults."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from typing import Any
from unittest.mock import patch

from stage import HEADERS, PAYLOAD, URL, VAULT_KEYS, Stage, damage

from canaries import CANARIES, KEYS
from hookkit import Endpoint, HookkitError, RetryPolicy
from hookkit.stores.sqlite import SQLiteStore, _database
from hookkit.vault import Vault
from worlds import eventually

__all__ = ["failing_stores", "joining", "sealing", "working"]

FIELDS: dict[str, Any] = {"events": "*", "headers": HEADERS, "keys": KEYS["whsec"]}


class Broken:
    """A sealer of the host's own that always raises."""

    def seal(self, *_: object, **__: object) -> Any:
        raise RuntimeError("the host's own key service")

    unseal = seal


class Garbling:
    """A sealer of the host's own that does not give back what it was given."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, plain: bytes, *, bound_to: bytes) -> tuple[str, bytes]:
        raise HookkitError("the host's own key service is closed")

    def unseal(self, sealed: bytes, *, key_id: str, bound_to: bytes) -> bytes:
        return self._vault.unseal(sealed, key_id=key_id, bound_to=bound_to)[:-3]


def failing_stores(stage: Stage) -> None:
    """A locked file, a damaged row, another vault, none at all, and a closed store: at every verb."""
    made = stage.register()
    delivery = stage.emit()
    stage.deliver(stage.fake(500))
    file = stage.folder / stage.FILE
    for vault in (
        Vault({"k1": b"another key of 32 bytes for this"}),
        Vault({"k9": b"another key of 32 bytes for this"}),
    ):
        _unreadable(stage, stage.new_store(vault), made.id)
    SQLiteStore(file).close()  # without a vault, which it says
    patient = stage.store
    with (
        patch.object(_database, "BUSY_TIMEOUT_S", 0.001),
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        stage.store = stage.new_store()
        other.execute("BEGIN IMMEDIATE")
        _failing(stage, made.id, delivery)
        other.execute("ROLLBACK")
        stage.close(stage.store)
    stage.store = patient
    damage(file, "UPDATE hookkit_webhooks SET sealed_headers = sealed_keys")
    _unreadable(stage, stage.store, made.id)
    damage(file, "DROP TABLE hookkit_subscriptions")
    damage(file, "DROP TABLE hookkit_attempts")
    damage(file, "DROP TABLE hookkit_deliveries")
    _failing(stage, made.id, delivery)
    stage.close(stage.store)
    _failing(stage, made.id, delivery)
    stage.store = stage.new_store()


def _unreadable(stage: Stage, store: Any, name: str) -> None:
    """Try every verb on a webhook whose secrets do not open, and have a worker meet it."""
    registry = stage.registry(store=store)
    for call in (registry.get, registry.rotate_key, registry.send_test):
        stage.fails(lambda ask=call: ask(name), HookkitError)
    stage.fails(lambda: registry.update(name, headers=HEADERS), HookkitError)
    stage.look(registry.list(), registry.health([name])[name], registry.recover(name, since=stage.clock.now()))
    stage.dispatcher(store=store).emit("user.created", PAYLOAD)
    stage.worker(stage.fake(), store=store).run_once()
    if store is not stage.store:
        stage.close(store)


def _failing(stage: Stage, name: str, delivery: str) -> None:
    """Try every verb that writes on a store that cannot."""
    registry = stage.registry()
    for call in (
        lambda: stage.register("whsk"),
        lambda: registry.rotate_key(name),
        lambda: registry.update(name, headers=HEADERS),
        lambda: registry.recover(name, since=stage.clock.now()),
        lambda: registry.redeliver(delivery),
        lambda: stage.dispatcher().emit("user.created", PAYLOAD, idempotency_key="a"),
        lambda: stage.dispatcher().emit_many([]) or stage.worker(stage.fake()).run_once(),
    ):
        stage.fails(call, HookkitError)


def joining(stage: Stage) -> None:
    """An emit on the host's own connection: committed, rolled back, refused, and failing half-way."""
    stage.register()
    if stage.medium == "memory":
        stage.fails(lambda: stage.emit(tx=object()), TypeError)
        return
    file = stage.folder / stage.FILE
    options: dict[str, Any] = {"check_same_thread": False}
    with closing(sqlite3.connect(file, **options)) as host:
        host.set_trace_callback(stage.statements.append)
        stage.emit(tx=host)
        host.commit()
        stage.emit(tx=host)
        host.rollback()
        with closing(sqlite3.connect(file, isolation_level=None, **options)) as free:
            stage.fails(lambda: stage.emit(tx=free), HookkitError)
        with closing(sqlite3.connect(stage.folder / "other.db", **options)) as other:
            stage.fails(lambda: stage.emit(tx=other), HookkitError)
        host.execute("BEGIN")
        host.execute("DROP TABLE hookkit_bodies")
        stage.fails(lambda: stage.emit(tx=host), HookkitError)
        host.rollback()
        stage.emit(tx=host)
        host.commit()
    stage.fails(lambda: stage.emit(tx=host), HookkitError)
    stage.deliver(stage.fake(500))


def sealing(stage: Stage) -> None:
    """Vaults: their own looks, wrong keys, another key in front, and a key service of the host's that fails."""
    vault = Vault(VAULT_KEYS)
    stage.look(vault)
    for keys in ({**VAULT_KEYS, "k2": b"short"}, {}, {"": VAULT_KEYS["k1"]}):
        stage.fails(lambda bad=keys: Vault(bad), ValueError)
    key = base64.b64encode(VAULT_KEYS["k1"]).decode()
    for text in (f"k1={key},k1={key}", f"k1={key},k2=x", key, f"={key}", f"{key}={key}!"):
        stage.fails(lambda bad=text: Vault.from_text(bad), ValueError)
    key_id, sealed = vault.seal(CANARIES["whsec"][1], bound_to=b"x")
    stage.fails(lambda: vault.unseal(sealed, key_id=key_id, bound_to=b"y"), HookkitError)
    stage.fails(lambda: vault.unseal(sealed, key_id="other", bound_to=b"x"), HookkitError)
    if stage.medium == "memory":
        return
    made = stage.register()
    for sealer, kind in ((Broken(), RuntimeError), (Garbling(vault), HookkitError)):
        store = stage.new_store(sealer)
        registry = stage.registry(store=store)
        stage.fails(lambda one=registry: one.create(Endpoint(URL, **FIELDS)), kind)
        stage.fails(lambda one=registry: one.rotate_key(made.id), kind)
        stage.fails(lambda one=registry: one.get(made.id), kind)
        stage.close(store)
    store = stage.new_store(Vault({"k2": bytes(CANARIES["vault"][1]), **VAULT_KEYS}))
    stage.look(store, str(store.seals()), str(store.rekey(dry_run=True)), str(store.rekey()), str(store.seals()))
    stage.close(store)
    stage.fails(lambda: stage.registry().get(made.id), HookkitError)
    stage.fails(stage.store.rekey, HookkitError)


class Deaf:
    """A log of the host's own that takes nothing."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: object, **__: object) -> Any:
            raise RuntimeError("the host's own log")

        async def refuse_later(*_: object, **__: object) -> Any:
            raise RuntimeError("the host's own log")

        return self._kind(refuse, refuse_later)


def working(stage: Stage) -> None:
    """A worker that runs: notices, a log elsewhere and a listener that fail, housekeeping, and a store that breaks."""
    made = stage.register(retry=RetryPolicy([1] * 5, jitter=0))
    stage.emit()

    def raising(notice: Any) -> None:
        stage.look(notice)
        raise RuntimeError("the host's own listener")

    worker = stage.worker(stage.fake([500] * 5 + [410]), logs=Deaf(stage.kind), on_notice=raising)
    for _ in range(6):
        worker.run_once()
        stage.clock.advance(7200)
    stage.look_at_history()
    assert not stage.registry().get(made.id).enabled
    stage.registry(logs=Deaf(stage.kind)).enable(made.id, held="drop")
    stage.emit()
    lines = stage.listener.lines
    worker = stage.worker(stage.fake(200), logs=Deaf(stage.kind), housekeeping=0.001, keep_payloads=0)
    worker.start()
    delivery = stage.emit()
    eventually(lambda: stage.registry().entry(delivery).state == "succeeded")
    if stage.medium == "sqlite":
        damage(stage.folder / stage.FILE, "DROP TABLE hookkit_heads")
        before = len(lines)
        stage.dispatcher().wake()
        eventually(lambda: any("no such table" in line for line in lines[before:]))
    worker.stop(5)
