/**
 * `npm run chaos:points`: in each shape of a composition, a worker process is killed at each point of its work, and
 * another one finishes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { createApp } from '@umbel/core';
import { KILL_POINTS, type KillPoint, nameOf } from '../../../packages/canvas/test/support/kill-points.js';
import { shapes, shapeTasks } from '../../../packages/canvas/test/support/shapes.js';
import { startStore } from '../redis/server.js';
import type { DyingWorker } from './worker.js';

const PROGRAM = fileURLToPath(new URL('./worker.js', import.meta.url));
const LOCK_MS = 1000;
const PATIENCE_MS = 60_000;
/** Pairs of a shape and a point that are under way at the same time. */
const TOGETHER = 6;

// The server is ended with this process, and the workers with their channel to it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const store = await startStore();
const { url } = store.server;
const quiet = { info() {}, warn() {}, error() {} };

function open(name: string) {
  const app = createApp({ name, connection: url, logger: quiet });
  const starts = new Map<string, number>();
  const tasks = shapeTasks(app, async (moment, call) => {
    if (moment === 'handler begins') starts.set(call, (starts.get(call) ?? 0) + 1);
  });
  return { app, tasks, starts };
}

interface Finding {
  readonly isKilled: boolean;
  readonly violation?: string;
}

async function examine(shape: string, point: KillPoint): Promise<Finding> {
  const name = `points-${crypto.randomUUID()}`;
  const settings: DyingWorker = { app: name, url, lockMs: LOCK_MS, point };
  const worker = fork(PROGRAM, [JSON.stringify(settings)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await once(worker, 'message');
  const exited = once(worker, 'exit');
  const { app, tasks, starts } = open(name);
  const { flow, gives } = shapes(tasks)[shape] ?? {};
  if (flow === undefined) throw new Error(`there is no shape "${shape}"`);
  const run = await flow.delay();
  const ending = run.outcome({ timeout: PATIENCE_MS });
  await Promise.race([exited, ending]);
  await app.worker({ lockDuration: LOCK_MS, repairInterval: false }).start();
  const outcome = await ending;
  const isRight = gives === undefined ? !outcome.ok : outcome.ok && isDeepStrictEqual(outcome.value, gives);
  const isTwice = [...starts.values()].some((count) => count > 1);
  // One that has nothing of the kind to do ends with its channel.
  if (worker.connected) worker.disconnect();
  await exited;
  const isKilled = worker.signalCode === 'SIGKILL';
  await app.close();
  if (!isRight) return { isKilled, violation: `ended with ${JSON.stringify(outcome)}` };
  if (isTwice) return { isKilled, violation: 'the survivor has started a step twice' };
  return { isKilled };
}

const names = Object.keys(shapes(shapeTasks(createApp({ name: 'names', logger: quiet }), async () => {})));
const pairs = names.flatMap((shape) => KILL_POINTS.map((point) => ({ shape, point })));
const total = pairs.length;
const killed = new Map<string, number>();
const violations: string[] = [];
let kills = 0;

async function work(): Promise<void> {
  for (let pair = pairs.shift(); pair !== undefined; pair = pairs.shift()) {
    const { shape, point } = pair;
    const where = `${shape}, ${nameOf(point)}`;
    const { isKilled, violation } = await examine(shape, point).catch((error: Error) => ({
      isKilled: false,
      violation: `threw ${error.message}`,
    }));
    if (isKilled) {
      kills += 1;
      killed.set(nameOf(point), (killed.get(nameOf(point)) ?? 0) + 1);
    }
    if (violation !== undefined) violations.push(`${where}: ${violation}`);
  }
}

await Promise.all(Array.from({ length: TOGETHER }, work));
await store.stop();
for (const point of KILL_POINTS) {
  const name = nameOf(point);
  console.log(`${String(killed.get(name) ?? 0).padStart(3)} shapes killed ${name}`);
  if (!killed.has(name)) violations.push(`no worker was killed ${name}`);
}
console.log(
  `${names.length} shapes × ${KILL_POINTS.length} points: ${total} pairs, ${kills} kills, ${violations.length} violations`,
);
for (const violation of violations) console.log(violation);
process.exitCode = violations.length === 0 ? 0 : 1;
