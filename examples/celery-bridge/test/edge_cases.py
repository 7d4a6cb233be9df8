"""Tasks and helpers of the tests, on the Celery app of the example."""

import datetime
import json

from billing import app
from celery import Celery, chain, chord, group, signature
from celery.schedules import crontab


class OutOfStock(Exception):
    pass


@app.task(name="fails.builtin")
def fails_builtin():
    raise ValueError("not so", 7)


@app.task(name="fails.custom")
def fails_custom():
    raise OutOfStock("no chairs")


@app.task(name="retries.once", bind=True, max_retries=3)
def retries_once(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0, exc=OutOfStock("later"))
    return self.request.retries


@app.task(name="ignores.result", ignore_result=True)
def ignores_result():
    return 1


@app.task(name="returns.text")
def returns_text(**kwargs):
    return "text"


@app.task(name="billing.echoed")
def echoed():
    return {"text": "from Celery"}


def answer(value):
    print(json.dumps(value))


def ended(result):
    """How a call has ended, as its sender sees it."""
    try:
        return ["value", result.get(timeout=50)]
    except Exception as error:
        return [type(error).__module__, type(error).__name__, str(error).splitlines()[0]]


def send(name, *args, queue="umbel", kwargs=None, **options):
    return app.send_task(name, args, kwargs or {}, queue=queue, **options)
