#!/usr/bin/env bash
# celery 5.2.6 (Debian 12): crontab(minute='*/90') runs every hour.
#
# Expected: an error, since no minute but 0 is a multiple of 90 below 60; or a run every 90 minutes. Other values that do not fit
#           raise a ValueError: minute='60' does.
# Seen:     the step is accepted and fires at minute 0 of each hour. `hour='*/36'` fires at midnight each day, likewise.
# Why it matters: the schedule runs, so nobody looks; it runs half as often again as meant, or twice as often for '*/120'.
# Needs `apt install python3-celery`.
set -euo pipefail
python=/usr/bin/python3
[ "$("$python" -c 'import celery; print(celery.__version__)')" = 5.2.6 ] || { echo "needs Debian's python3-celery 5.2.6"; exit 1; }
seen=$("$python" - <<'PY'
from datetime import datetime, timezone

from celery import Celery
from celery.schedules import crontab

app = Celery()


def occurrences(**fields):
    schedule = crontab(app=app, **fields)
    now = datetime(2026, 8, 1, 12, 30, tzinfo=timezone.utc)
    for _ in range(3):
        schedule.nowfun = lambda: now
        last, delta, _ = schedule.remaining_delta(now)
        now = last + delta
        yield now.strftime("%d %H:%M")


print("minute='*/90':", ", ".join(occurrences(minute="*/90")))
print("hour='*/36':", ", ".join(occurrences(minute="0", hour="*/36")))
try:
    crontab(minute="60")
except ValueError as error:
    print("minute='60':", type(error).__name__)
PY
)
expected="minute='*/90': 01 13:00, 01 14:00, 01 15:00
hour='*/36': 02 00:00, 03 00:00, 04 00:00
minute='60': ValueError"
echo "celery 5.2.6:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }
