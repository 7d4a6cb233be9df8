#!/usr/bin/env bash
# celery 5.2.6 (Debian 12): an `eta` without a time zone is read as UTC, although the app and its process have another zone.
#
# Expected: datetime.now() + one hour is in one hour, as everywhere in Python, where a naive time is local; or in the zone of
#           the app (`timezone`).
# Seen:     the message holds the naive time without an offset, and the worker takes it as UTC. In Tokyo a task of "in one
#           hour" starts in ten hours; west of Greenwich it starts at once, because the moment has passed.
# Why it matters: nothing warns. The same code is right on a machine in UTC, such as a container, and wrong on a laptop.
# Needs `apt install python3-celery`.
set -euo pipefail
python=/usr/bin/python3
[ "$("$python" -c 'import celery; print(celery.__version__)')" = 5.2.6 ] || { echo "needs Debian's python3-celery 5.2.6"; exit 1; }
seen=$(TZ=Asia/Tokyo "$python" - <<'PY'
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from celery import Celery
from celery.worker.request import Request

app = Celery(broker="memory://")
app.conf.timezone = "Asia/Tokyo"


@app.task(name="later")
def later():
    pass


def hours_until(eta):
    message = app.amqp.as_task_v2("id", "later", eta=eta)
    print("in the message an offset:", datetime.fromisoformat(message.headers["eta"]).tzinfo is not None, end=", ")
    received = SimpleNamespace(
        headers=message.headers, body=message.body, payload=message.body, properties={}, delivery_info={},
        content_type="application/json", content_encoding="utf-8",
    )
    request = Request(received, app=app, headers=message.headers, decoded=False)
    print("starts in hours:", round((request._eta - datetime.now(timezone.utc)).total_seconds() / 3600))


hours_until(datetime.now() + timedelta(hours=1))
hours_until(datetime.now().astimezone() + timedelta(hours=1))
PY
)
expected='in the message an offset: False, starts in hours: 10
in the message an offset: True, starts in hours: 1'
echo "celery 5.2.6, in one hour in Tokyo:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }
