"""CPython's asyncio, or uvloop, doing the work of the other contestants.

Called with a workload, the number of operations, and `asyncio` or `uvloop`. Prints nanoseconds (bytes for memory): one for
all operations together, or, for lateness, one for each. A server prints its port and ends when its client is done.
"""

import asyncio
import os
import random
import socket
import sys
import time
from collections import deque

FAR = 60
MESSAGE_LENGTH = 64
SERVER_BUFFER = 16 * 1024
BULK_BUFFER = 64 * 1024
now = time.perf_counter_ns


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


async def number_of(number):
    return number


async def nothing():
    pass


async def waiting_tasks(count):
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def cancel(count):
    tasks = await waiting_tasks(count)
    started = now()
    for task in tasks:
        task.cancel()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.create_task(nothing())
    return now() - started


async def cancel_join(count):
    tasks = await waiting_tasks(count)
    started = now()
    for task in tasks:
        task.cancel()
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            pass
    return now() - started


def shutdown(count):
    runner = new_runner()
    runner.run(waiting_tasks(count))
    started = now()
    runner.close()
    return now() - started


def cycle(count):
    started = now()
    for _ in range(count):
        loop = new_loop()
        loop.run_until_complete(nothing())
        loop.close()
    return now() - started


def cycle_signals(count):
    started = now()
    for _ in range(count):
        with new_runner() as runner:
            runner.run(nothing())
    return now() - started


def run_again(count):
    loop = new_loop()
    started = now()
    for number in range(count):
        assert loop.run_until_complete(number_of(number)) == number
    return now() - started


def run_again_signals(count):
    runner = new_runner()
    started = now()
    for number in range(count):
        assert runner.run(number_of(number)) == number
    return now() - started


async def spawn_batch(count):
    started = now()
    tasks = [asyncio.create_task(number_of(number)) for number in range(count)]
    for number, task in enumerate(tasks):
        assert await task == number
    return now() - started


async def spawn_detached(count):
    started = now()
    for number in range(count):
        asyncio.create_task(number_of(number))
    await asyncio.create_task(nothing())
    return now() - started


async def spawn_one(count):
    started = now()
    for number in range(count):
        assert await asyncio.create_task(number_of(number)) == number
    return now() - started


async def yield_now(count):
    async def yielding():
        for _ in range(count // 1000):
            await asyncio.sleep(0)

    started = now()
    await asyncio.gather(*[asyncio.create_task(yielding()) for _ in range(1000)])
    return now() - started


class Mailbox:
    def __init__(self):
        self.values, self.reader = deque(), None

    def send(self, value):
        self.values.append(value)
        if self.reader is not None:
            self.reader.set_result(None)
            self.reader = None

    async def receive(self):
        while not self.values:
            self.reader = asyncio.get_running_loop().create_future()
            await self.reader
        return self.values.popleft()


async def ping_pong(rounds):
    here, there = Mailbox(), Mailbox()

    async def ping():
        for number in range(rounds):
            there.send(number)
            assert await here.receive() == number

    async def pong():
        for _ in range(rounds):
            here.send(await there.receive())

    started = now()
    await asyncio.gather(asyncio.create_task(ping()), asyncio.create_task(pong()))
    return now() - started


async def timeouts(count, inner):
    started = now()
    for _ in range(count):
        async with asyncio.timeout(FAR):
            await inner()
    return now() - started


async def timeout_ready(count):
    return await timeouts(count, nothing)


def pending_once():
    return asyncio.sleep(0)


async def timeout_pending(count):
    return await timeouts(count, pending_once)


async def timeout_many(count):
    started = now()
    tasks = [asyncio.create_task(timeouts(count // 1000, pending_once)) for _ in range(1000)]
    await asyncio.gather(*tasks)
    return now() - started


async def lateness(length):
    due = now() + int(length * 1e9)
    await asyncio.sleep(length)
    return max(now() - due, 0)


async def sleeps(count):
    begin = time.perf_counter() + 0.5
    lengths = [random.random() * 0.1 for _ in range(count)]

    async def sleep(length):
        return await lateness(begin + length - time.perf_counter())

    return await asyncio.gather(*[asyncio.create_task(sleep(length)) for length in lengths])


def begin_load():
    is_over = False

    async def load():
        while not is_over:
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(load()) for _ in range(100)]

    def lift():
        nonlocal is_over
        is_over = True
        return asyncio.gather(*tasks)

    return lift


async def sleeps_loaded(count):
    lift = begin_load()

    async def sleeper():
        return [await lateness(0.001) for _ in range(count // 10)]

    each = await asyncio.gather(*[asyncio.create_task(sleeper()) for _ in range(10)])
    await lift()
    return sum(each, [])


async def blocking_job(rounds):
    started = now()
    for number in range(rounds):
        assert await asyncio.to_thread(lambda: number) == number
    return now() - started


async def blocking_batch(count):
    loop = asyncio.get_running_loop()
    started = now()
    jobs = [loop.run_in_executor(None, lambda: None) for _ in range(count)]
    for job in jobs:
        await job
    return now() - started


async def memory(count):
    tasks = [None] * count
    event = asyncio.Event()
    before = resident_bytes()
    for number in range(count):
        tasks[number] = asyncio.create_task(event.wait())
        if number % 1000 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return resident_bytes() - before


async def echo(reader, writer):
    while data := await reader.read(SERVER_BUFFER):
        writer.write(data)
        await writer.drain()


async def echo_once(reader, writer):
    writer.write(await reader.readexactly(MESSAGE_LENGTH))
    await writer.drain()


async def drain(reader, writer):
    while await reader.read(BULK_BUFFER):
        pass


async def pour(mebibytes, writer):
    chunk = b"\7" * BULK_BUFFER
    for _ in range((mebibytes << 20) // BULK_BUFFER):
        writer.write(chunk)
        await writer.drain()


async def serve(connections, handle):
    """Serves so many connections, and ends when all are closed."""
    remaining, is_over = connections, asyncio.Event()

    async def on_connection(reader, writer):
        nonlocal remaining
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await handle(reader, writer)
        writer.close()
        await writer.wait_closed()
        remaining -= 1
        if remaining == 0:
            is_over.set()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await is_over.wait()
    server.close()


async def echo_loaded(_):
    lift = begin_load()
    await serve(1, echo)
    await lift()


SERVERS = {
    "echo-1": lambda _: serve(1, echo),
    "echo-100": lambda _: serve(100, echo),
    "echo-1000": lambda _: serve(1000, echo),
    "echo-pipelined": lambda _: serve(100, echo),
    "echo-loaded": echo_loaded,
    "accept": lambda times: serve(times, echo_once),
    "bulk-in": lambda _: serve(1, drain),
    "bulk-out": lambda mebibytes: serve(1, lambda _, writer: pour(mebibytes, writer)),
}
RUNTIMES = [shutdown, cycle, cycle_signals, run_again, run_again_signals]
TASKS = [
    cancel, cancel_join, spawn_batch, spawn_detached, spawn_one, ping_pong, timeout_ready, timeout_pending,
    timeout_many, sleeps, sleeps_loaded, blocking_job, blocking_batch, memory,
]  # fmt: skip
FUNCTIONS = {function.__name__.replace("_", "-"): function for function in RUNTIMES + TASKS}
FUNCTIONS["yield"] = yield_now

workload, operations, loops = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if loops == "uvloop":
    from uvloop import new_event_loop as new_loop
else:
    from asyncio import new_event_loop as new_loop


def new_runner():
    return asyncio.Runner(loop_factory=new_loop)


if workload in SERVERS:
    new_loop().run_until_complete(SERVERS[workload](operations))
    sys.exit()
function = FUNCTIONS[workload]
result = function(operations)
if function not in RUNTIMES:
    result = new_loop().run_until_complete(result)
print(*(result if isinstance(result, list) else [result]), flush=True)
# Tasks that still wait would complain.
os._exit(0)
