#!/usr/bin/env bash
# cron-parser 5.10.3: `next()` can return a time before the one that it was asked to start from.
#
# Expected: the next occurrence after 13:05Z is later than 13:05Z.
# Seen:     on the night on which Pacific/Chatham (UTC+13:45 to UTC+12:45) sets its clocks back, the occurrence after
#           13:05Z of an expression that fires every ten minutes is 12:15Z of the same night, 50 minutes earlier.
# Why it matters: a loop that steps from occurrence to occurrence until it passes a given time does not advance there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund cron-parser@5.10.3 >/dev/null
cat > program.cjs <<'JS'
const { CronExpressionParser } = require('cron-parser');
const from = new Date('2026-04-04T13:05:00Z');
const next = CronExpressionParser.parse('*/10 * * * *', { currentDate: from, tz: 'Pacific/Chatham' }).next().toDate();
console.log(`${from.toISOString()} is followed by ${next.toISOString()}`);
JS
seen=$(node program.cjs)
expected='2026-04-04T13:05:00.000Z is followed by 2026-04-04T12:15:00.000Z'
echo "cron-parser 5.10.3: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }
