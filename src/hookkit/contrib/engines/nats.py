"""Delivering on NATS JetStream: a durable work queue. For nats-py from 2.9 on, and servers from 2.9 on.

Workers, as many processes as you like::

    tickets = WorkQueue(nats_client.jetstream())
    await tickets.prepare()
    await tickets.work(AsyncWorker(store))

The relay, a process of its own::

    await AsyncRelay(store, tickets.hand).run()
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs
from nats.errors import ConnectionClosedError, Error
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from hookkit.contrib.engines._delivering import deliver_async
from hookkit.contrib.engines._tickets import KEPT, offer_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from hookkit._async.worker import AsyncWorker

__all__ = ["WorkQueue"]

_log: Final = logging.getLogger("hookkit.engines")
FETCH_S: Final = 1.0
"""How long one request for messages waits; no longer does :meth:`WorkQueue.work` take to notice that it is to stop."""
PAUSE_S: Final = 1.0


@attrs.frozen
class WorkQueue:
    """A stream that keeps each ticket until a worker has acknowledged it, and the consumer that all workers share.

    Args:
        js: The JetStream context. The host connects, and closes the connection.
        stream: The stream's name.
        subject: The subject that it keeps.
        consumer: The durable consumer's name.
        ack_wait: After which silence of a worker its message goes to another; a worker that sends says so three times
            as often. The message is good for nothing then if the attempt had begun.
    """

    js: JetStreamContext
    stream: str = "HOOKKIT"
    subject: str = "hookkit.deliveries"
    consumer: str = "hookkit"
    ack_wait: timedelta = timedelta(seconds=15)

    async def prepare(self, *, replicas: int = 1) -> None:
        """Make the stream and the consumer. Where they are as they should be already, this changes nothing.

        Args:
            replicas: How many servers of a cluster keep the stream: 1, 3 or 5.

        Raises:
            nats.js.errors.APIError: They are there, and cannot be made what is asked for.
        """
        await self.js.add_stream(
            StreamConfig(
                name=self.stream,
                subjects=[self.subject],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                max_age=KEPT.total_seconds(),
                num_replicas=replicas,
            )
        )
        await self.js.add_consumer(
            self.stream,
            ConsumerConfig(
                durable_name=self.consumer,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self.ack_wait.total_seconds(),
                max_ack_pending=10_000,
                max_waiting=10_000,
            ),
        )

    async def hand(self, tickets: Sequence[str]) -> None:
        """Publish tickets, and return once the stream has them all: what an AsyncRelay awaits.

        Published again by a client that heard no answer, a ticket is kept once.
        """
        await asyncio.gather(
            *(
                self.js.publish(
                    self.subject, ticket.encode(), stream=self.stream, headers={"Nats-Msg-Id": offer_of(ticket) or ""}
                )
                for ticket in tickets
            )
        )

    async def work(self, worker: AsyncWorker, *, concurrency: int = 32, stop: asyncio.Event | None = None) -> None:
        """Deliver what comes, until this is cancelled or `stop` is set, or the connection is closed.

        Args:
            worker: It says how to send, and where the outcome goes. It need not run.
            concurrency: How many deliveries at once. No more messages are taken than can be sent at once.
            stop: Set, nothing more is taken, and this returns when what is being sent is settled. Cancelled, it gives
                back what is being sent.

        Raises:
            nats.errors.ConnectionClosedError: The connection is closed; what was being sent is settled.
            ValueError: `concurrency` is less than 1.
        """
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        failed = asyncio.Event()
        stops = [failed] if stop is None else [failed, stop]
        serving = [asyncio.create_task(self._serve(worker, stops)) for _ in range(concurrency)]
        try:
            await asyncio.wait(serving, return_when=asyncio.FIRST_EXCEPTION)
            failed.set()  # one cannot go on; what the others are sending has reached its receiver, perhaps
            await asyncio.wait(serving)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
        for task in serving:
            task.result()

    async def _serve(self, worker: AsyncWorker, stops: Sequence[asyncio.Event]) -> None:
        """Deliver one message after another. Each asks for itself: who asks for several waits until all have come."""
        subscription = await self.js.pull_subscribe_bind(consumer=self.consumer, stream=self.stream)
        try:
            while not any(stop.is_set() for stop in stops):
                try:
                    (message,) = await subscription.fetch(1, timeout=FETCH_S)
                except TimeoutError:
                    continue
                except ConnectionClosedError:
                    raise
                except Error as error:
                    _log.warning("messages are asked for again in %.1f s: %s", PAUSE_S, type(error).__name__)
                    await asyncio.sleep(PAUSE_S)
                    continue
                await self._handle(worker, message)
        finally:
            with contextlib.suppress(Error):
                await subscription.unsubscribe()

    async def _handle(self, worker: AsyncWorker, message: Msg) -> None:
        """Deliver, and acknowledge. Whatever became of it, the message is done with."""
        beating = asyncio.create_task(self._beat(message))
        try:
            await deliver_async(worker, message.data)
        except Exception:  # noqa: BLE001 - logged; the delivery is offered again
            _log.exception("a delivery broke off, and is offered again later")
        finally:
            beating.cancel()
        try:
            await message.ack()
        except Error as error:
            _log.info("a message was not acknowledged, and comes again in vain: %s", type(error).__name__)

    async def _beat(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(self.ack_wait.total_seconds() / 3)
            with contextlib.suppress(Error):
                await message.in_progress()
