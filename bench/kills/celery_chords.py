"""Celery's side: an app for ``celery worker``, and a sender when run as a program.

``SETTINGS=late`` turns on late acknowledgement, as its documentation describes it for Redis.
"""
import json
import os
import sys
import time

from celery import Celery, chord
from celery.signals import worker_ready

DAY_S = 86_400

app = Celery("celery_chords", broker=os.environ["REDIS"], backend=os.environ["REDIS"])
app.conf.result_expires = DAY_S
if os.environ["SETTINGS"] == "late":
    visibility_timeout_s = int(os.environ["VISIBILITY_TIMEOUT"])
    app.conf.task_acks_late = True
    app.conf.task_reject_on_worker_lost = True
    app.conf.worker_prefetch_multiplier = 1
    app.conf.broker_transport_options = {"visibility_timeout": visibility_timeout_s}
    app.conf.result_backend_transport_options = {"visibility_timeout": visibility_timeout_s}


def note(**entry):
    """Append to the ledger with one write, which survives the process."""
    line = json.dumps({**entry, "at": int(time.time() * 1000), "pid": os.getpid()}) + "\n"
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(ledger, line.encode())
    os.close(ledger)


@app.task
def step(chord, n, ms):
    note(event="start", chord=chord, n=n)
    time.sleep(ms / 1000)
    note(event="end", chord=chord, n=n)
    return chord * 100 + n


@app.task
def total(values, chord):
    note(event="body", chord=chord, sum=sum(values))
    return sum(values)


@worker_ready.connect
def tell(**_):
    os.write(1, b"ready\n")  # Celery sends what is printed to its log


class Sender:
    """Answers the driver: a request in a line of JSON, an answer in a line of JSON."""

    def __init__(self):
        self.sent = {}

    def send(self, chords):
        for each in chords:
            header = [step.s(each["chord"], n, ms) for n, ms in enumerate(each["ms"])]
            self.sent[each["chord"]] = chord(header)(total.s(each["chord"]))

    def sendTasks(self, tasks):
        for task in tasks:
            self.sent[task["n"]] = step.delay(task["chord"], task["n"], task["ms"])

    def states(self, _):
        client = app.backend.client
        states = {}
        for identity, result in self.sent.items():
            header = result.parent.results if result.parent else []
            keys = [app.backend.get_key_for_task(each.id) for each in [result, *header]]
            stored = [json.loads(meta)["status"] if meta else None for meta in client.mget(keys)]
            if stored[0] == "SUCCESS":
                states[identity] = "done"
            else:
                states[identity] = "failed" if "FAILURE" in stored else "open"
        return states

    def left(self, _):
        """Messages that the broker still holds: waiting, and taken but not acknowledged."""
        client = app.backend.client
        return {"queued": client.llen("celery"), "unacknowledged": client.hlen("unacked")}

    def skip(self, seconds):
        """Let messages that wait for the visibility timeout be as old as if so much time had passed."""
        client = app.backend.client
        waiting = client.zrange("unacked_index", 0, -1, withscores=True)
        for tag, taken_at in waiting:
            client.zadd("unacked_index", {tag: taken_at - seconds}, xx=True)
        return {"waiting": len(waiting)}


if __name__ == "__main__":
    sender = Sender()
    for line in sys.stdin:
        ((name, value),) = json.loads(line).items()
        print(json.dumps(getattr(sender, name)(value) or {}), flush=True)
