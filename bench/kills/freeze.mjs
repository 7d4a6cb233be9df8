// A store that stands still for longer than a lock, while long tasks run. See bench/README.md.
// `npm run bench:freeze -- [--json] [--freeze 45] [--only umbel,bullmq-default]`
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { settle, setup } from './campaign.mjs';
import { count } from './ledger.mjs';
import { chosen } from './systems.mjs';
import { printTable } from './table.mjs';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    freeze: { type: 'string', default: '45' },
    only: { type: 'string' },
  },
});
const freezeS = Number(values.freeze);
const say = (line) => console.error(line);
/** Ten tasks of 15 to 60 s: of a freeze of 45 s some end while it lasts, and some after it. */
const tasks = Array.from({ length: 10 }, (_, n) => ({ chord: n, n, ms: 15_000 + 5000 * n }));
const LONGEST_S = 60;

async function freeze(system) {
  const world = await setup(system, { workers: 2, concurrency: 10 });
  try {
    await world.sender.ask({ sendTasks: tasks });
    while (world.ledger().length < tasks.length) await setTimeout(100);
    await setTimeout(2000);
    world.redis.process.kill('SIGSTOP');
    const frozenAt = Date.now();
    say(`${system.name}: frozen`);
    await setTimeout(freezeS * 1000);
    world.redis.process.kill('SIGCONT');
    const { states } = await settle(world, { quietS: system.quietS + LONGEST_S }, say);
    const told = Object.values(states);
    const entries = world.ledger();
    const { tasksAgain } = count(entries, { chords: 0, header: 0 });
    const startedAgain = entries
      .filter(({ event, at }) => event === 'start' && at > frozenAt)
      .map(({ n, at }) => ({ n, atS: Math.round((at - frozenAt) / 1000) }));
    world.remove();
    return {
      done: told.filter((state) => state === 'done').length,
      failed: told.filter((state) => state === 'failed').length,
      open: told.filter((state) => state === 'open').length,
      tasksAgain,
      startedAgain,
    };
  } finally {
    await world.stop();
  }
}

const systems = chosen(values.only, say);
// Side by side: they only wait, each on a Redis of its own.
const rows = await Promise.all(
  systems.map(async ({ key, missing, ...system }) => {
    // A visibility timeout has to be longer than the longest task, so here it is Celery's default for both.
    const patient = { ...system, env: { ...system.env, VISIBILITY_TIMEOUT: '3600' } };
    return { key, name: system.name, ...(missing ? { skipped: missing } : await freeze(patient)) };
  }),
);
if (values.json) console.log(JSON.stringify({ freezeS, tasks, rows }, null, 2));
else {
  printTable(rows, [
    ['done', ({ done }) => done],
    ['ran twice', ({ tasksAgain }) => tasksAgain],
    ['wrongly failed', ({ failed }) => failed],
    ['no result', ({ open }) => open],
  ]);
}
