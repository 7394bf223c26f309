"""Delivering on Celery, by the page's own example: real workers in processes of their own, over RabbitMQ and Redis."""

from __future__ import annotations

import sys
import time
from contextlib import closing

import kombu
import pytest
import redis
from places import PLACES, example

pytestmark = pytest.mark.filterwarnings("default")  # of Celery's own

WORKER = "worker --concurrency 2 --loglevel WARNING --without-gossip --without-mingle --without-heartbeat".split()


class OnCelery:
    """A test's Celery: its module, its workers, and its relays."""

    def __init__(self, place, broker):
        self.place = place
        self.broker = PLACES[broker]
        self.module = place.module(example("Celery"), broker=self.broker, more=MORE[broker])

    def worker(self):
        return self.place.run(
            sys.executable, "-m", "celery", "--app", f"{self.module}:app", *WORKER, "--queues", self.place.name
        )

    def relay(self):
        return self.place.python(f"import {self.module} as page; page.relay().run()")

    def publish(self, *messages):
        """Have others' messages lie in the queue."""
        app = self.place.load(self.module)["app"]
        for message in messages:
            app.send_task("hookkit.deliver", args=message, queue=self.place.name)

    def clear(self):
        """End its processes, and take away what is in the broker."""
        self.place.end()
        if self.broker == PLACES["rabbitmq"]:
            with kombu.Connection(self.broker) as connection, connection.channel() as channel:
                channel.queue_delete(self.place.name)
                channel.exchange_delete(self.place.name)
            return
        with redis.Redis.from_url(self.broker) as client:
            for key in client.scan_iter(f"*{self.place.name}*"):
                client.delete(key)

    def waiting(self):
        """Return how many messages are in the queue."""
        if self.broker == PLACES["redis"]:
            with redis.Redis.from_url(self.broker) as client:
                return client.llen(f"{self.place.name}:{self.place.name}")
        with kombu.Connection(self.broker) as connection, closing(connection.SimpleQueue(self.place.name)) as queue:
            return queue.qsize()


# A Redis has one space of names for everybody: what these tests make there is theirs by its prefix.
MORE = {
    "rabbitmq": "",
    "redis": "app.conf.broker_transport_options = {'global_keyprefix': app.conf.task_default_queue + ':'}\n",
}


@pytest.fixture(params=["rabbitmq", "redis"])
def celery(request, place):
    found = OnCelery(place, request.param)
    yield found
    found.clear()


def test_everything_is_delivered_once_and_no_cap_is_exceeded(place, celery) -> None:
    """Two workers of two processes each, and two relays: each event received once, in as many attempts."""
    place.share_out(celery)


def test_killed_workers_and_relays_lose_nothing(place, celery) -> None:
    """Power losses, again and again: every event arrives; no more is lost than the two processes had in hand."""
    place.lose_power(celery, most_lost=2)


def test_messages_that_are_no_tickets_are_dropped(place, celery) -> None:
    """Nor do old tickets, or those of others, hold a worker up; each is gone from the queue afterwards."""
    place.register()
    celery.worker()
    celery.publish([""], ["nonsense"], ["dlv_1.off_1"], [None], [{"a": 1}], [17], [], ["a", "b"], ["x" * 100_000])
    celery.relay()
    place.emit(8)
    place.finish(8)
    ends = time.monotonic() + 30
    while celery.waiting():
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert "dropped a message that is no ticket" in place.output()
    assert all(count == 1 for count in place.received.values())


def test_a_relay_without_a_broker_counts_nothing(place) -> None:
    """It is killed while it tries; the next one, whose broker is there, hands everything over."""
    module = place.module(example("Celery"), broker="amqp://guest:guest@127.0.0.1:1//")
    place.register()
    events = place.emit(4)
    relay = place.python(f"import {module} as page; page.relay().run()")
    ends = time.monotonic() + 30
    while place.states() == {"pending": 4}:
        assert time.monotonic() < ends, place.output()[-2000:]
        time.sleep(0.05)
    place.kill(relay)
    celery = OnCelery(place, "rabbitmq")
    celery.worker()
    celery.relay()
    place.finish(4)
    assert place.made() == dict.fromkeys(events, (1, 0))
    celery.clear()
