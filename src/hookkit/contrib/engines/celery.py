"""Delivering on Celery. For Celery from 5.4 on, over RabbitMQ or Redis.

One module that the relay and the Celery workers import::

    app = Celery("webhooks", broker="amqp://…")
    deliver = deliver_task(app, lambda: Worker(PostgresStore(DSN)))

The relay, a process of its own::

    Relay(PostgresStore(DSN), hand_to(deliver)).run()

``docs/engines.md`` says which settings matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hookkit.contrib.engines._delivering import PerProcess
from hookkit.contrib.engines._delivering import deliver as deliver_ticket
from hookkit.contrib.engines._tickets import KEPT
from hookkit.model import as_duration

if TYPE_CHECKING:
    from hookkit._sync.worker import Worker

__all__ = ["deliver_task", "hand_to"]


def deliver_task(app: Any, make_worker: Callable[[], Worker], *, name: str = "hookkit.deliver", **options: Any) -> Any:
    """Register the task that makes an attempt, and return it.

    It is acknowledged when the outcome is stored, and never tried again by Celery: the schedule is in the store. Where
    the store fails, the task fails, which is for people to see; the delivery is offered again later.

    Args:
        app: The Celery app.
        make_worker: Makes a worker, over a store of its own. Called once in each process of the pool, after the fork,
            for the first task. It need not be started.
        name: The task's name.
        options: More of Celery's for a task, such as ``queue``. A time limit must be longer than an attempt.
    """
    worker = PerProcess(make_worker)

    def deliver(ticket: object) -> None:
        """Make the attempt that a ticket is good for."""
        deliver_ticket(worker(), ticket if isinstance(ticket, str) else "")

    # With a worker process that dies, its message comes again. It is good for nothing then if the attempt had begun.
    settings = {"acks_late": True, "reject_on_worker_lost": True, "ignore_result": True, "max_retries": 0}
    return app.task(name=name, **{**settings, **options})(deliver)


def hand_to(task: Any, *, expires: timedelta | float = KEPT, **options: Any) -> Callable[[Sequence[str]], None]:
    """Return what a :class:`~hookkit.contrib.engines.Relay` calls to send tickets to a task.

    Args:
        task: What :func:`deliver_task` returned.
        expires: Workers drop a message that is older; a timedelta, or seconds. Long, because Celery goes by the clocks
            of two machines.
        options: More of Celery's ``apply_async``, such as ``queue`` or ``priority``.
    """
    seconds = as_duration(expires).total_seconds()

    def hand(tickets: Sequence[str]) -> None:
        with task.app.producer_or_acquire() as producer:
            for ticket in tickets:
                task.apply_async((ticket,), producer=producer, expires=seconds, **options)

    return hand
