#!/usr/bin/env bash
# cron-parser 5.10.3: a day whose clocks go from 00:00 to 01:00 has no midnight, and a daily job at midnight has no
# occurrence on it at all.
#
# Expected: one occurrence a day. With other skipped times (02:30 in Europe/Berlin) the parser fires later the same day.
# Seen:     in Africa/Cairo the occurrences of `0 0 * * *` go from Thursday 23 April 2026 to Saturday 25 April 2026.
# Why it matters: nightly and `@daily` work is left out once a year in Cairo, Beirut, Santiago, Havana and the Azores.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund cron-parser@5.10.3 >/dev/null
cat > program.cjs <<'JS'
const { CronExpressionParser } = require('cron-parser');
const local = (tz, at) => new Intl.DateTimeFormat('sv-SE', { timeZone: tz, dateStyle: 'short', timeStyle: 'short' }).format(at);
const three = (expression, tz, from) => {
  const occurrences = CronExpressionParser.parse(expression, { currentDate: new Date(from), tz });
  return [1, 2, 3].map(() => local(tz, occurrences.next().toDate())).join(', ');
};
console.log(`0 0 * * *  Africa/Cairo:  ${three('0 0 * * *', 'Africa/Cairo', '2026-04-22T12:00:00Z')}`);
console.log(`30 2 * * * Europe/Berlin: ${three('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z')}`);
JS
seen=$(node program.cjs)
expected='0 0 * * *  Africa/Cairo:  2026-04-23 00:00, 2026-04-25 00:00, 2026-04-26 00:00
30 2 * * * Europe/Berlin: 2026-03-28 02:30, 2026-03-29 03:30, 2026-03-30 02:30'
echo "cron-parser 5.10.3:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }
