"""Celery's side: an app for ``celery worker``, and, run as a program, what the rows do with it.

Settings: a prefork process for each core, which is Celery's default, and as many messages in hand as the other systems
run jobs (the documentation advises a high multiplier for short tasks); without gossip, mingle and heartbeats; results
kept for a day, as in the other systems.
"""
import json
import os
import resource
import signal
import subprocess
import sys
import time

import redis
from celery import Celery, chain, chord
from celery.signals import worker_ready

URL = os.environ["REDIS"]
CONCURRENCY = 100
PROCESSES = os.cpu_count()

app = Celery("celery_bench", broker=URL, backend=URL)
app.conf.update(
    result_expires=86_400,
    worker_prefetch_multiplier=max(1, CONCURRENCY // PROCESSES),
    task_ignore_result=False,
)


@app.task
def noop(data):
    return data


@app.task
def increment(data):
    return {"n": data["n"] + 1}


@app.task
def one(n):
    return n


@app.task
def total(values):
    return sum(values)


@worker_ready.connect
def tell(**_):
    os.write(1, b"ready\n")


class Worker:
    """A worker with its processes, until it is left."""

    def __init__(self, *more):
        self.more = more

    def __enter__(self):
        args = ["-A", "celery_bench", "worker", "-c", str(PROCESSES), "-l", "ERROR", *self.more]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", *args, *quiet],
            cwd=os.path.dirname(__file__),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        while self.process.stdout.readline() != b"ready\n":
            if self.process.poll() is not None:
                raise RuntimeError("celery worker does not start")
        return self

    def __exit__(self, *_):
        for pid in reversed(self.pids()):  # a warm shutdown may hang with a queue that was added; nothing runs any more
            os.kill(pid, signal.SIGKILL)
        self.process.wait(20)

    def pids(self):
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [pid, *map(int, children.read().split())]

    def cpu_ms(self):
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1000 / os.sysconf("SC_CLK_TCK")

    def rss(self):
        pages = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/statm") as statm:
                pages += int(statm.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Bench:
    """Does a row, and measures this process, the worker's and Redis."""

    def __init__(self):
        self.client = redis.Redis.from_url(URL)
        self.worker = None
        self.phases = {}
        self.facts = {}

    def mark(self):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        info = {**self.client.info("cpu"), **self.client.info("memory")}
        calls = self.client.info("commandstats")
        return {
            "cpu": (usage.ru_utime + usage.ru_stime) * 1000 + (self.worker.cpu_ms() if self.worker else 0),
            "redis": (info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"]) * 1000,
            "bytes": info["used_memory"] - info["mem_clients_normal"],
            "commands": {name[8:]: stat["calls"] for name, stat in calls.items()},
        }

    def phase(self, name, run):
        before = self.mark()
        started = time.perf_counter()
        run()
        ms = (time.perf_counter() - started) * 1000
        after = self.mark()
        commands = {
            command: calls - before["commands"].get(command, 0)
            for command, calls in after["commands"].items()
            if command != "info" and calls > before["commands"].get(command, 0)
        }
        self.phases[name] = {
            "ms": ms,
            "cpuMs": after["cpu"] - before["cpu"],
            "redisMs": after["redis"] - before["redis"],
            "bytes": after["bytes"] - before["bytes"],
            "commands": commands,
        }

    def results(self):
        return self.client.info("keyspace").get("db0", {}).get("expires", 0)

    def single(self, size):
        def send():
            for _ in range(size):
                noop.delay({"a": 1})

        self.phase("send", send)
        self.process(size)

    def bulk(self, size):
        def send():
            with app.producer_pool.acquire(block=True) as producer:
                for _ in range(size):
                    noop.apply_async(({"a": 1},), producer=producer)

        self.phase("send", send)

    def process(self, size):
        def run():
            app.control.add_consumer("celery")
            while self.results() < size:
                time.sleep(0.005)

        with Worker("-Q", "none") as self.worker:  # so that its start is not measured
            self.phase("process", run)
        self.worker = None

    def at_work(self, run):
        with Worker() as self.worker:
            self.phase("run", run)
        self.worker = None

    def chord(self, size):
        def run():
            value = chord([one.s(n) for n in range(size)])(total.s()).get(timeout=300)
            assert value == size * (size - 1) // 2, value

        self.at_work(run)

    def chain(self, size, times):
        def run():
            for _ in range(times):
                steps = [increment.s({"n": 0}), *(increment.s() for _ in range(size - 1))]
                value = chain(*steps).apply_async().get(timeout=300)
                assert value == {"n": size}, value

        self.at_work(run)

    def rest(self, seconds):
        started = time.perf_counter()
        with Worker() as worker:
            self.facts["start ms"] = (time.perf_counter() - started) * 1000
            time.sleep(1)
            cpu = worker.cpu_ms()
            time.sleep(seconds)
            self.facts["idle cpu %"] = (worker.cpu_ms() - cpu) / (seconds * 10)
            self.facts["rss MB"] = worker.rss() / 1e6

    def answer(self, row, *args):
        self.phases, self.facts = {}, {}
        getattr(self, row)(*args)
        return {"phases": self.phases, "facts": self.facts}


if __name__ == "__main__":
    bench = Bench()
    for line in sys.stdin:
        try:
            told = bench.answer(*json.loads(line)["call"])
        except Exception as error:  # told to whoever asks
            told = {"error": repr(error)}
        print(json.dumps(told), flush=True)
