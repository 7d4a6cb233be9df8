/** Jobs that end the processes they run in, and jobs that only run beside them, in processes that are really killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type App, createApp, TaskFailedError } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { sized } from '../../../../test/support/length.js';
import { quickly } from '../../../../test/support/quick-packages.js';
import { MAX_LOST_STARTS } from '../../src/worker/poison.js';

const program = quickly(fileURLToPath(new URL('./poison-program.mjs', import.meta.url)));
const LOCK_MS = 1000;
/** A process that says nothing for so long is killed, as by a probe of its health: only a loop needs it. */
const SILENT_MS = sized(Number.POSITIVE_INFINITY, 3000);
/** As docs/reliability.md says. */
const MOST_STARTS = 11;
const quiet = { info() {}, warn() {}, error() {} };

interface Line {
  readonly pid: number;
  readonly started?: string;
  readonly ended?: string;
  readonly ready?: true;
  readonly error?: string;
}

let app: App;
let redis: Redis;
let lines: Line[];
let isOver: boolean;
const children = new Set<ChildProcess>();

beforeEach(() => {
  app = createApp({ name: `poison-${randomUUID()}`, connection: inject('redisUrl'), logger: quiet });
  redis = new Redis(inject('redisUrl'));
  lines = [];
  isOver = false;
});

afterEach(async () => {
  isOver = true;
  const exits = [...children].map((child) => once(child, 'exit'));
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(exits);
  await app.close();
  for (const key of await redis.keys(`umbel:{${app.name}}:*`)) await redis.del(key);
  redis.disconnect();
});

/** A worker process; with `again`, another one takes its place when it ends, and it is killed when it is silent. */
function start(again: boolean): ChildProcess {
  const args = ['--max-old-space-size=48', program, inject('redisUrl'), app.name, `${LOCK_MS}`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  let seenAt = performance.now() + 10_000; // it has to load first
  createInterface(child.stdout).on('line', (text) => {
    const line = JSON.parse(text) as Line;
    seenAt = performance.now();
    lines.push(line);
  });
  const watch = setInterval(() => {
    if (again && performance.now() - seenAt > SILENT_MS) child.kill('SIGKILL');
  }, 100);
  child.once('exit', () => {
    clearInterval(watch);
    children.delete(child);
    if (again && !isOver) start(true);
  });
  return child;
}

const seen = (what: (line: Line) => boolean, count = 1) =>
  vi.waitFor(() => expect(lines.filter(what).length).toBeGreaterThanOrEqual(count), {
    timeout: 20_000,
    interval: 10,
  });
const isReady = ({ ready }: Line) => ready === true;
const startsOf = (id: string) => lines.filter(({ started }) => started === id).length;
/** What is stored of the losses of a job. */
const lostOf = async (id: string): Promise<unknown> =>
  JSON.parse((await redis.hget(`umbel:{${app.name}}:default:${id}`, 'data')) ?? '{}').lost;

test('each kind of poison is a dead letter, and nothing else is', async () => {
  const poison = app.signature('poison');
  const work = app.signature<number>('work');
  const processes = sized(2, 3);
  for (let count = 0; count < processes; count += 1) start(true);
  await seen(isReady, processes);
  const kinds = sized(['exit'], ['exit', 'abort', 'memory', 'loop']);
  const others = await Promise.all(Array.from({ length: 30 }, (_, n) => work.delay({ ms: 100 * n })));
  const bad = await Promise.all(kinds.map((kind) => poison.delay(kind)));
  for (const result of bad) {
    const error = await result.get({ timeout: '100s' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({ cause: { code: 'POISON_JOB' } });
  }
  await Promise.all(others.map((result) => result.get({ timeout: '50s' })));
  // Several of them end each other's processes, also while one is just being refused.
  for (const { id } of bad) {
    expect(startsOf(id)).toBeGreaterThanOrEqual(MAX_LOST_STARTS);
    expect(startsOf(id)).toBeLessThanOrEqual(MOST_STARTS);
  }
  const letters = await app.deadLetters.list();
  expect(letters.map(({ task }) => task)).toEqual(kinds.map(() => 'poison'));
}, 300_000);

test('a job whose worker stands still again and again, and lives, is not poison', async () => {
  const work = app.signature<number>('work');
  const [one, two] = [start(false), start(false)];
  await seen(isReady, 2);
  const result = await work.delay({ ms: 60_000 });
  for (let losses = 1; losses <= sized(MAX_LOST_STARTS + 1, 8); losses += 1) {
    await seen(({ started }) => started === result.id, losses);
    const holder = lines.findLast(({ started }) => started === result.id)?.pid;
    const child = holder === one.pid ? one : two;
    child.kill('SIGSTOP');
    await seen(({ started }) => started === result.id, losses + 1);
    child.kill('SIGCONT');
    // It says that it lives, once it has seen that its lock is gone.
    await vi.waitFor(async () => expect(await lostOf(result.id)).toMatchObject({ losses: [] }), {
      timeout: 10_000,
      interval: 20,
    });
  }
  expect(await result.state()).toBe('active');
  expect(await app.deadLetters.list()).toEqual([]);
}, 300_000);

test('jobs whose workers are killed while they run beside others are not poison', async () => {
  const work = app.signature<number>('work');
  start(true);
  start(true);
  await seen(isReady, 2);
  const results = await Promise.all(Array.from({ length: sized(10, 40) }, () => work.delay({ ms: 1500 })));
  for (let kills = 0; kills < sized(2, 6); kills += 1) {
    const before = lines.length;
    await seen(({ started }) => started !== undefined, 1);
    await vi.waitFor(() => expect(lines.slice(before).some(({ started }) => started)).toBe(true), {
      timeout: 20_000,
      interval: 10,
    });
    await pause(300);
    const last = lines.findLast(({ started }) => started !== undefined)?.pid;
    [...children].find(({ pid }) => pid === last)?.kill('SIGKILL');
  }
  await Promise.all(results.map((result) => result.get({ timeout: '60s' })));
  expect(await app.deadLetters.list()).toEqual([]);
}, 300_000);
