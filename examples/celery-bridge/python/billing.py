"""A Celery app as it was before: its worker still runs billing.total.

Start it with: celery --app billing worker --pool solo
"""

import os

from celery import Celery

url = os.environ.get("UMBEL_URL", "redis://127.0.0.1:6379")
app = Celery("billing", broker=url, backend=url)


class Busy(Exception):
    pass


@app.task(name="billing.total", bind=True, max_retries=1)
def total(self, lines):
    if len(lines) > 100:
        raise Busy(f"{len(lines)} lines are too many now")
    return {"cents": sum(line["cents"] * line["count"] for line in lines)}
