"""Wake-ups: who serves the same store is told at once that something may be due."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hookkit import wakeups
from hookkit.stores.memory import MemoryStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.wakeups import listen, wake


class Keyed:
    """A store that others know by a key."""

    def __init__(self, key):
        self.wake_key = key


@pytest.fixture
def listening():
    """Return a function that listens to a store; whatever still listens is taken off in the end."""
    taken = []

    def start(store, listener):
        taken.append(listen(store, listener))
        return taken[-1]

    yield start
    for forget in taken:
        forget()
    assert wakeups._listeners == {}, "nothing is left behind"


def test_a_listener_is_called_for_its_store(listening):
    """Each time, and for no other store."""
    mine, other, calls = MemoryStore(), MemoryStore(), []
    listening(mine, lambda: calls.append("mine"))
    listening(other, lambda: calls.append("other"))
    wake(mine)
    wake(mine)
    assert calls == ["mine", "mine"]
    wake(other)
    assert calls == ["mine", "mine", "other"]


def test_nobody_listens():
    """Then nothing happens."""
    wake(MemoryStore())
    wake(Keyed("k"))


@pytest.mark.parametrize("key", ["/var/lib/hooks.db", ("postgres", "hookkit"), 7])
def test_stores_of_one_key_are_one(listening, key):
    """Two objects over one database: what one emits, the other's worker hears."""
    calls = []
    listening(Keyed(key), lambda: calls.append(1))
    wake(Keyed(key))
    wake(Keyed("another"))
    assert calls == [1]


@pytest.mark.parametrize("key", [None, ""])
def test_a_store_without_a_key_is_itself(listening, key):
    """An empty key makes no two stores one."""
    mine, other, calls = Keyed(key), Keyed(key), []
    listening(mine, lambda: calls.append(1))
    wake(other)
    assert calls == []
    wake(mine)
    assert calls == [1]


def test_a_wrapped_store_wakes_what_it_wraps(listening):
    """An async emit over a sync store reaches the sync worker, and the other way round."""
    inner, calls = MemoryStore(), []
    outer = ThreadedStore(inner)
    listening(inner, lambda: calls.append("inner"))
    listening(outer, lambda: calls.append("outer"))
    wake(outer)
    wake(inner)
    assert calls == ["inner", "outer"] * 2


def test_several_listeners(listening):
    """All are told, in the order in which they came; one that is taken off is not, the others still are."""
    store, calls = MemoryStore(), []
    forgets = [listening(store, lambda name=name: calls.append(name)) for name in "abc"]
    wake(store)
    forgets[1]()
    wake(store)
    assert calls == [*"abc", *"ac"]


def test_a_listener_may_be_there_twice(listening):
    """Each is taken off by its own function, once, however often that is called."""
    store, calls = MemoryStore(), []

    def listener():
        calls.append(1)

    first, second = listening(store, listener), listening(store, listener)
    wake(store)
    assert len(calls) == 2
    first()
    first()
    wake(store)
    assert len(calls) == 3, "the second is still there"
    second()
    second()
    wake(store)
    assert len(calls) == 3


def test_what_a_listener_raises_reaches_nobody(listening, caplog):
    """Neither the emitter, whose event is stored, nor the other listeners; it is logged."""
    store, calls = MemoryStore(), []

    def broken():
        raise RuntimeError("the event loop is closed")

    listening(store, lambda: calls.append("before"))
    listening(store, broken)
    listening(store, lambda: calls.append("after"))
    wake(store)
    assert calls == ["before", "after"]
    assert "the event loop is closed" in caplog.text
    assert caplog.records[0].name == "hookkit.wakeups"


def test_what_ends_a_program_is_let_through(listening):
    """It is no listener's mistake."""
    store = MemoryStore()

    def ending():
        raise KeyboardInterrupt

    listening(store, ending)
    with pytest.raises(KeyboardInterrupt):
        wake(store)


def test_a_listener_may_take_itself_off(listening):
    """Listeners are called outside the lock."""
    store, calls = MemoryStore(), []

    def once():
        calls.append(1)
        forgets[0]()

    forgets = [listening(store, once)]
    wake(store)
    wake(store)
    assert calls == [1]


def test_from_many_threads(listening):
    """Nothing is lost: every wake-up reaches whoever listens at that time."""
    store, counted, lock = MemoryStore(), [0], threading.Lock()

    def count():
        with lock:
            counted[0] += 1

    def churn(_):
        for _ in range(50):
            listen(store, lambda: None)()
            wake(store)

    listening(store, count)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(churn, range(4)))
    assert counted == [200]


class Watching:
    """A store that hears of other processes; what it is given, and whether it still watches, can be looked at."""

    def __init__(self):
        self.told = []

    def watch(self, changed):
        self.told.append(changed)
        return lambda: self.told.remove(changed)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_store_that_hears_of_others_is_watched(wrapped, caplog):
    """For as long as somebody listens; what the listener raises does not reach the store."""
    watching = Watching()
    store, calls = ThreadedStore(watching) if wrapped else watching, []

    def failing():
        calls.append(1)
        raise RuntimeError("no")

    forget = listen(store, failing)
    (changed,) = watching.told
    changed()
    assert calls == [1]
    assert "a listener raised" in caplog.text
    forget()
    assert watching.told == []


def test_a_store_that_hears_of_nobody_is_not_watched():
    """One that answers to every name because it hands on is not asked; and one may say that it hears of none."""

    class HandingOn:
        wake_key = "handing on"

        def __getattr__(self, name):
            raise AssertionError(name)

    class Deaf:
        wake_key = "deaf"

        def watch(self, changed):
            return None

    for store in (HandingOn(), Deaf(), ThreadedStore(MemoryStore())):
        listen(store, lambda: None)()
