// The same chords under the same `kill -9` for Celery, BullMQ and Umbel. See bench/README.md.
// `npm run bench:kills -- [--quick] [--json] [--seed 1] [--chords 300] [--kills 30] [--task-ms 20,50]
// [--only umbel,celery-late]`
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { runCampaign } from './campaign.mjs';
import { makePlan } from './plan.mjs';
import { chosen, versions } from './systems.mjs';
import { printTable } from './table.mjs';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    chords: { type: 'string' },
    kills: { type: 'string' },
    'task-ms': { type: 'string', default: '20,50' },
    only: { type: 'string' },
  },
});
const settings = {
  seed: Number(values.seed),
  chords: Number(values.chords ?? (values.quick ? 60 : 300)),
  kills: Number(values.kills ?? (values.quick ? 6 : 30)),
  header: 10,
  taskMs: values['task-ms'].split(',').map(Number),
  workers: 3,
  concurrency: 10,
  roundMs: 2000,
  killWindowMs: 400,
};
const say = (line) => console.error(line);
const plan = makePlan(settings);
const require = createRequire(import.meta.url);
say(`${JSON.stringify({ ...settings, ...versions(require) })}`);
say(
  `kills (ms after the round has begun, worker): ${plan.map(({ killAfterMs, victim }) => `${killAfterMs}/${victim}`).join(' ')}`,
);

const rows = [];
for (const { key, missing, ...system } of chosen(values.only, say)) {
  if (missing) {
    rows.push({ key, name: system.name, skipped: missing });
    continue;
  }
  say(`${system.name} …`);
  const row = { key, name: system.name, ...(await runCampaign(system, plan, { ...settings, say })) };
  say(JSON.stringify(row));
  rows.push(row);
}

const COLUMNS = [
  ['right sum', ({ right }) => right],
  ['wrong sum', ({ wrong }) => wrong],
  ['no body', ({ lost }) => lost],
  ['no result', ({ noResult }) => noResult],
  ['wrongly failed', ({ wronglyFailed }) => wronglyFailed],
  ['body again', ({ bodiesAgain }) => bodiesAgain],
  ['tasks again', ({ tasksAgain }) => tasksAgain],
  ['cut off', ({ cutOff }) => cutOff],
  ['never started', ({ neverStarted }) => neverStarted],
  ['never ended', ({ neverEnded }) => neverEnded],
  [
    'all done after',
    ({ recoveredS, skippedS }) => (recoveredS === null ? 'never' : `${recoveredS + skippedS} s`),
  ],
];

if (values.json) console.log(JSON.stringify({ settings, versions: versions(require), plan, rows }, null, 2));
else printTable(rows, COLUMNS);
