/**
 * A worker dies at each point of its work, in each shape of a composition; another one finishes. To the store it is as
 * after `kill -9`: the connection is gone, and locks run out. (Processes that are killed are in `killed-worker.test.ts`
 * and in the workspace `chaos`.)
 */
import { createApp } from '@umbel/core';
import { createRedisBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { sized } from '../../../../test/support/length.js';
import { dyingStore, isAt } from '../support/dying-store.js';
import { KILL_POINTS, type KillPoint, nameOf } from '../support/kill-points.js';
import { shapes, shapeTasks } from '../support/shapes.js';

const quiet = { info() {}, warn() {}, error() {} };
const soon = { timeout: '2m' } as const;

const redis = new Redis(inject('redisUrl'));

/** In how many shapes a point is tried, and how many points of a shape at least, in a short run. */
const [SHAPES_OF_A_POINT, POINTS_OF_A_SHAPE] = [2, 5];

/** How often each point was reached, so that none of them tests nothing. */
const struck = new Map<string, number>();
/** Of the names of apps. */
const PREFIX = `points-${crypto.randomUUID()}`;

function open(name: string, point: KillPoint | undefined, times: number) {
  const inStore = typeof point === 'object' ? point : undefined;
  const passed = new Set<KillPoint>();
  const store = dyingStore(createRedisBackend, inject('redisUrl'), inStore, times, undefined, (command) => {
    for (const each of KILL_POINTS) if (typeof each === 'object' && isAt(each, command)) passed.add(each);
  });
  const app = createApp({ name, connection: store.connection, logger: quiet, sendTimeout: '1m' });
  const started: string[] = [];
  let left = times;
  const tasks = shapeTasks(app, async (moment, id) => {
    if (moment === 'handler begins') started.push(id);
    passed.add(moment);
    if (moment !== point) return;
    left -= 1;
    if (left === 0) await store.die();
  });
  return { app, tasks, started, store, passed };
}

/** The points that a worker passes which runs all of it. */
async function pointsOf(shape: string): Promise<KillPoint[]> {
  const name = `${PREFIX}-${crypto.randomUUID()}`;
  const sender = open(name, undefined, 1);
  const { app, passed } = open(name, undefined, 1);
  await app.worker({ repairInterval: false }).start();
  await (await shapes(sender.tasks)[shape]?.flow.delay())?.outcome(soon);
  await Promise.all([app.close(), sender.app.close()]);
  return KILL_POINTS.filter((point) => passed.has(point));
}

async function finishes(shape: string, point: KillPoint, times: number): Promise<boolean> {
  const name = `${PREFIX}-${crypto.randomUUID()}`;
  const sender = open(name, undefined, 1);
  const found = shapes(sender.tasks)[shape];
  if (found === undefined) throw new Error(`there is no shape "${shape}"`);
  const { flow, gives } = found;
  const dying = open(name, point, times);
  const worker = await dying.app.worker({ lockDuration: '1s', repairInterval: false }).start();
  const run = await flow.delay();
  const ending = run.outcome(soon);
  // It dies, or it has nothing of the kind to do.
  while (!dying.store.isDead && (await Promise.race([ending, pause(20)])) === undefined);
  const survivor = open(name, undefined, 1);
  await survivor.app.worker({ lockDuration: '1s', repairInterval: false }).start();
  const outcome = await ending;
  const where = `${shape}, ${nameOf(point)}`;
  if (gives === undefined)
    expect(outcome, where).toMatchObject({ ok: false, error: { cause: { message: 'broken' } } });
  else expect(outcome, where).toEqual({ ok: true, value: gives });
  // Each handler ran once, and once more for each time that the lock of its job ran out: by the death of its worker, or
  // because this process stood still.
  const starts = new Map<string, number>();
  for (const call of [...dying.started, ...survivor.started]) starts.set(call, (starts.get(call) ?? 0) + 1);
  const stalls = await stallsOf(name);
  expect(
    [...starts].filter(([call, count]) => count > 1 + (stalls.get(call.split(' ')[0] ?? '') ?? 0)),
    where,
  ).toEqual([]);
  await Promise.all([survivor.app.close(), sender.app.close()]);
  // What is dead cannot be closed, only cut off. It may have died after its run had ended, or die now.
  const closing = dying.store.isDead ? worker.close({ force: true }) : dying.app.close();
  closing.catch(() => {});
  const closed = closing.then(() => true);
  while (!dying.store.isDead && (await Promise.race([closed, pause(20)])) === undefined);
  return dying.store.isDead;
}

/** How often the jobs of an app were taken from their workers. */
async function stallsOf(app: string): Promise<Map<string, number>> {
  const stalls = new Map<string, number>();
  for (const [, fields] of await redis.xrange(`umbel:{${app}}:default:events`, '-', '+')) {
    const event = Object.fromEntries(fields.map((each, at) => [at % 2 === 0 ? each : '', fields[at + 1]]));
    if (event.event === 'stalled') stalls.set(`${event.jobId}`, (stalls.get(`${event.jobId}`) ?? 0) + 1);
  }
  return stalls;
}

const pause = (ms: number) => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ms));

const SHAPES = Object.keys(shapes(shapeTasks(createApp({ name: 'names', logger: quiet }), async () => {})));

/** The points at which a worker dies in each shape. */
const pointsIn = new Map<string, readonly KillPoint[]>();
/** The points that a worker has passed in each shape. */
const passedIn = new Map<string, readonly KillPoint[]>();

beforeAll(async () => {
  const passed = await Promise.all(SHAPES.map(async (shape) => ({ shape, points: await pointsOf(shape) })));
  const tried = new Map<KillPoint, number>();
  // Shapes that pass few points choose first.
  for (const { shape, points } of passed.toSorted((a, b) => a.points.length - b.points.length)) {
    const rarest = points.toSorted((a, b) => (tried.get(a) ?? 0) - (tried.get(b) ?? 0));
    const chosen = rarest.filter(
      (point, index) => index < POINTS_OF_A_SHAPE || (tried.get(point) ?? 0) < SHAPES_OF_A_POINT,
    );
    for (const point of chosen) tried.set(point, (tried.get(point) ?? 0) + 1);
    passedIn.set(shape, points);
    pointsIn.set(shape, sized(chosen, KILL_POINTS));
  }
});

afterAll(async () => {
  for await (const keys of redis.scanStream({ match: `umbel:{${PREFIX}*`, count: 1000 })) {
    if (keys.length > 0) await redis.unlink(keys);
  }
  redis.disconnect();
});

describe('a worker that dies, whatever it is doing, costs nothing', () => {
  test.each(SHAPES)(
    '%s',
    async (shape) => {
      const times = process.env.UMBEL_KILL_POINTS === 'all' ? [1, shape === 'large group' ? 40 : 2] : [1];
      const points = pointsIn.get(shape) ?? [];
      const cases = points.flatMap((point) => times.map((nth) => ({ point, nth })));
      let strikes = 0;
      const run = async (some: typeof cases) => {
        const results = await Promise.all(
          some.map(async (each) => ({ ...each, isStruck: await finishes(shape, each.point, each.nth) })),
        );
        for (const { point } of results.filter(({ isStruck }) => isStruck)) {
          strikes += 1;
          struck.set(nameOf(point), (struck.get(nameOf(point)) ?? 0) + 1);
        }
        return results.filter(({ point, isStruck }) => !isStruck && passedIn.get(shape)?.includes(point));
      };
      // Which jobs share a command depends on the time, so that a worker may get by a point that another one has passed.
      let missed = await run(cases);
      for (let round = 0; round < 5 && missed.length > 0; round += 1) missed = await run(missed);
      expect(strikes).toBeGreaterThan(3);
    },
    300_000,
  );
});

test('each point was reached in some shape', () => {
  expect(KILL_POINTS.map(nameOf).filter((name) => !struck.has(name))).toEqual([]);
});
