// Umbel beside bare BullMQ and Celery: `npm run bench -- [--quick] [--rows single,chain-100] [--rounds 5]
// [--systems umbel,bullmq] [--against ../other-checkout] [--json] [--out figures.json] [--plot growth.svg] [--with-celery] [--list]`. See README.md.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { digest, judge } from './run/figures.mjs';
import { limitLine, rowLines, targetLines } from './run/report.mjs';
import { runRow } from './run/rounds.mjs';
import { celeryVersions, installCelery } from './systems/celery.mjs';

/** In the order in which they run. */
const COMPARED = [
  ...['single', 'bulk', 'chord', 'large-chord', 'chain-10', 'chain-100', 'chain-500'],
  ...['network-single', 'network-chord'],
  ...['processes', 'packed', 'memory', 'virtual-time', 'simulation', 'at-rest', 'imports'],
];
/** Those that measure Umbel over a range, and compare nothing. */
const SERIES = ['commands', 'growth', 'retention', 'types'];
/** What must stay straight as it grows: each judges its own figures. */
const SCALING = [
  'pickup',
  'lateness',
  'nodes',
  'cli-start',
  'opening',
  'purge',
  'forget',
  'run-views',
  'schedules',
  'event-readers',
  'result-copies',
  'kept-run',
  'tags',
  'search-index',
  'get-latency',
  'many-gets',
  'signal-waits',
  'loop-turns',
  'progress-followers',
  'dashboard',
];
const QUICK = COMPARED.filter((name) => !['large-chord', 'chain-500', 'processes', 'at-rest'].includes(name));

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rows: { type: 'string' },
    rounds: { type: 'string' },
    systems: { type: 'string' },
    against: { type: 'string' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    plot: { type: 'string' },
    list: { type: 'boolean', default: false },
    'with-celery': { type: 'boolean', default: false },
  },
});
const all = [...COMPARED, ...SERIES, ...SCALING];
if (values.list) {
  console.log(all.join('\n'));
  process.exit(0);
}
const { quick, against } = values;
const names = values.rows?.split(',') ?? (quick ? [...QUICK, 'commands'] : all);
for (const name of names) {
  if (!all.includes(name))
    throw new Error(`expected --rows to name some of ${all.join(', ')}, got "${name}"`);
}
const rounds = Number(values.rounds ?? (quick ? 2 : 7));
if (!(Number.isInteger(rounds) && rounds > 0))
  throw new Error(`expected --rounds to be a number, got "${values.rounds}"`);

const say = (line) => console.error(line);
const print = (lines) => {
  if (!values.json) console.log(`${lines.join('\n')}\n`);
};
if (values['with-celery'] && celeryVersions() === undefined) installCelery();
const celery = celeryVersions();
const require = createRequire(import.meta.url);
const about = {
  at: new Date().toISOString(),
  node: process.versions.node,
  bullmq: require('bullmq/package.json').version,
  celery: celery ?? 'not installed',
  cpus: `${cpus().length} × ${cpus()[0]?.model}`,
  loadBefore: loadavg()[0],
};
say(JSON.stringify(about));

const rows = {};
for (const name of names) {
  const { row } = await import(`./rows/${name}.mjs`);
  if (row.measure !== undefined) {
    const figures = await row.measure({ quick, plot: values.plot, say });
    const judged = row.judge?.(figures);
    rows[name] = judged === undefined ? figures : { figures, limits: judged };
    const lines = [...row.lines(figures), ...(judged ?? []).map(limitLine)];
    print([`${name}: ${row.title}`, ...lines.map((line) => `  ${line}`)]);
    continue;
  }
  const systems = values.systems?.split(',');
  const told = await runRow(name, row, {
    systems,
    rounds,
    quick,
    hasCelery: celery !== undefined,
    against,
    say,
  });
  const digested = digest(told);
  rows[name] = { ...digested, judged: judge(row, digested) };
  print(rowLines(name, row, digested));
}
print(targetLines(rows));
const document = JSON.stringify({ ...about, loadAfter: loadavg()[0], quick, rounds, rows }, null, 2);
if (values.json) console.log(document);
if (values.out !== undefined) writeFileSync(values.out, `${document}\n`);
