#!/usr/bin/env bash
# celery 5.2.6, kombu 5.2.4 (Debian 12): a call with the number NaN or Infinity is sent as "application/json" that is no JSON.
#
# Expected: an error at the sender, as for a set or for bytes; or a text that a JSON parser of another language reads.
# Seen:     the body has the words NaN and Infinity, which RFC 8259 excludes. Celery's own workers read them; others cannot.
# Why it matters: a consumer in another language gets the message and cannot parse it; the sender waits for a result. A
#           result with such a number breaks the reader of the result backend the same way.
# Needs `apt install python3-celery`.
set -euo pipefail
python=/usr/bin/python3
[ "$("$python" -c 'import celery; print(celery.__version__)')" = 5.2.6 ] || { echo "needs Debian's python3-celery 5.2.6"; exit 1; }
seen=$("$python" - <<'PY'
from kombu.serialization import dumps

content_type, _, body = dumps([[], {"rate": float("nan"), "limit": float("inf")}, {}], serializer="json")
print(content_type, body)
try:
    dumps([[], {"rates": {1.0}}, {}], serializer="json")
except Exception as error:
    print(type(error).__name__)
PY
)
body=$(head -1 <<<"$seen" | cut -d' ' -f2-)
seen="$seen
$(node -e 'try { JSON.parse(process.argv[1]); console.log("parsed"); } catch (error) { console.log(error.name); }' "$body")"
expected='application/json [[], {"rate": NaN, "limit": Infinity}, {}]
EncodeError
SyntaxError'
echo "celery 5.2.6:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }
