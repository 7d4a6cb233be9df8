import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { RedisQueueBackend } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/time.js';
import { keepsStoreTime } from '../../../src/store/engine/redis/store-time.js';
import { StoreTime } from '../../../src/store/store-time.js';

const HOUR_MS = 3_600_000;

/** The commands that reach a Redis from a machine whose clock is ahead by so much, and its answer to each. */
function redis(offsetMs: number, answer: unknown) {
  const sent: unknown[][] = [];
  const backend: RedisQueueBackend = Object.create(RedisQueueBackend.prototype);
  backend.execCommand = (_client, _command, args: unknown[]) => {
    sent.push(args);
    return Promise.resolve(answer);
  };
  const time = new StoreTime(() => {});
  time.note({ offsetMs, errorMs: 1 });
  keepsStoreTime(backend, time);
  return { sent, run: (command: string, args: unknown[]) => backend.execCommand({} as never, command, args) };
}

/** BullMQ's scripts, without those of its relay, which Umbel does not use. */
function scripts(): { name: string; keys: number; text: string }[] {
  const folder = join(dirname(createRequire(import.meta.url).resolve('bullmq')), '../esm/commands');
  return readdirSync(folder)
    .filter((file) => file.endsWith('.lua') && !file.startsWith('relay'))
    .map((file) => {
      const [, name = '', keys] = /^(\w+)-(\d+)\.lua$/.exec(file) ?? [];
      return { name, keys: Number(keys), text: readFileSync(join(folder, file), 'utf8') };
    });
}

/** Of those: the place of the argument that its comment calls the timestamp. */
function scriptsWithTime(): [name: string, place: number][] {
  return scripts().flatMap(({ name, keys, text }) => {
    const [, place] = /ARGV\[(\d+)\]\s*-?\s*(?:max ?)?(?:current )?timestamp\b/i.exec(text) ?? [];
    return place === undefined ? [] : [[name, keys + Number(place) - 1] as [string, number]];
  });
}

describe('a command of a machine whose clock is wrong', () => {
  test('has its moment in the time of the store, and so is what it tells of the next job', async () => {
    const { sent, run } = redis(HOUR_MS, [null, null, 0, 5000]);
    const now = Date.now();
    const keys = Array.from({ length: 11 }, (_, index) => `key${index}`);
    const [job, id, limited, dueAt] = (await run('moveToActive', [
      ...keys,
      'prefix',
      now,
      'packed',
    ])) as number[];
    expect([job, id, limited]).toEqual([null, null, 0]);
    expect(Math.abs((dueAt ?? 0) - (5000 + HOUR_MS))).toBeLessThan(100);
    expect(sent[0]?.slice(0, 12)).toEqual([...keys, 'prefix']);
    expect(Math.abs(Number(sent[0]?.[12]) - (now - HOUR_MS))).toBeLessThan(100);
    expect(sent[0]?.[13]).toBe('packed');
  });

  test('that sends its moment as text sends it as text', async () => {
    const { sent, run } = redis(-HOUR_MS, 0);
    const now = Date.now();
    await run('changeDelay', ['a', 'b', 'c', 'd', 500, JSON.stringify(now), 'id', 'key']);
    expect(sent[0]).toEqual(['a', 'b', 'c', 'd', 500, expect.any(String), 'id', 'key']);
    expect(Math.abs(Number(sent[0]?.[5]) - (now + HOUR_MS))).toBeLessThan(100);
  });

  test('stays as it is where it has none, however near to now a number is', async () => {
    const counts = [7, 8, 9, 10, 11];
    const { sent, run } = redis(HOUR_MS, counts);
    const now = Date.now();
    expect(await run('getCounts', ['prefix', now, 'wait'])).toBe(counts);
    expect(await run('addLog', ['job', 'logs', 'id', now])).toBe(counts);
    expect(sent).toEqual([
      ['prefix', now, 'wait'],
      ['job', 'logs', 'id', now],
    ]);
  });

  test.each(scriptsWithTime())('%s: the moment is found, and only that', async (name, place) => {
    const { sent, run } = redis(HOUR_MS, 0);
    const now = Date.now();
    await run(
      name,
      Array.from({ length: place + 4 }, () => now),
    );
    const changed = sent[0]?.flatMap((argument, index) => (argument === now ? [] : [index]));
    expect(changed).toEqual([place]);
  });

  test('is known for every script of BullMQ that has one', () => {
    expect(scriptsWithTime().map(([name]) => name)).toEqual([
      'addJobScheduler',
      'changeDelay',
      'cleanJobsInSet',
      'moveJobsToWait',
      'moveStalledJobsToWait',
      'moveToActive',
      'moveToDelayed',
      'moveToFinished',
      'moveToWaitingChildren',
      'releaseParentIfNoPendingDependencies',
      'retryJob',
      'updateJobScheduler',
    ]);
  });

  test('is known for every script that speaks of a moment, but where it is packed or named by the caller', () => {
    const known = scriptsWithTime().map(([name]) => name);
    const others = scripts().filter(
      ({ name, text }) => /timestamp|\bnow\b/i.test(text) && !known.includes(name),
    );
    expect(others.map(({ name }) => name)).toEqual([
      ...['addDelayedJob', 'addParentJob', 'addPrioritizedJob', 'addStandardJob'],
      'getCounts', // up to when delayed jobs are counted
    ]);
  });

  test('is left as it is by a clock that differs by less than a second', async () => {
    const { sent, run } = redis(900, [null, null, 0, 5]);
    const now = Date.now();
    const args = Array.from({ length: 14 }, () => now);
    expect(await run('moveToActive', args)).toEqual([null, null, 0, 5]);
    expect(sent).toEqual([args]);
  });
});

/** The clocks of a machine, by hand, and what was told of them. */
function machine() {
  let wall = 1_000_000;
  let monotonic = 500;
  const told: string[] = [];
  const time = new StoreTime((message) => told.push(message), {
    wall: () => wall,
    monotonic: () => monotonic,
  });
  return {
    told,
    time,
    /** Lets time pass. */
    pass: (ms: number) => {
      wall += ms;
      monotonic += ms;
    },
    /** Somebody sets the clock. */
    set: (ms: number) => {
      wall += ms;
    },
    isDue: () => time.isDue(monotonic),
  };
}

describe('the time of the store', () => {
  test('is set right, and a clock that is far off is told once', () => {
    const told: string[] = [];
    const time = new StoreTime((message) => told.push(message));
    const clock = time.correct(systemClock);
    time.note({ offsetMs: 500, errorMs: 1 });
    expect(told).toEqual([]);
    time.note({ offsetMs: -HOUR_MS, errorMs: 1 });
    time.note({ offsetMs: -HOUR_MS + 20, errorMs: 1 });
    expect(told).toEqual([
      "the clock of this machine is 3600 s behind the store's. Umbel uses the store's time; correct the clock (NTP).",
    ]);
    expect(clock.now() - Date.now()).toBeGreaterThan(HOUR_MS - 1000);
  });

  test('is not known before the store was asked, nor after the clock was set', () => {
    const { time, set, pass, isDue } = machine();
    expect([time.isKnown, isDue()]).toEqual([false, true]);
    time.note({ offsetMs: 0, errorMs: 1 });
    pass(60_000);
    expect([time.isKnown, isDue()]).toEqual([true, false]);
    set(5000);
    expect([time.isKnown, isDue()]).toEqual([false, true]);
    time.note({ offsetMs: 5000, errorMs: 1 });
    expect([time.isKnown, isDue()]).toEqual([true, false]);
  });

  test('goes on by the monotonic clock until it is asked for again', () => {
    const { time, set, pass, isDue } = machine();
    time.note({ offsetMs: 0, errorMs: 1 });
    set(HOUR_MS);
    expect(time.offsetMs).toBe(HOUR_MS);
    set(-HOUR_MS);
    expect(time.offsetMs).toBe(0);
    pass(301_000);
    expect([time.isKnown, isDue()]).toEqual([true, true]);
  });

  test('that was read with a long answer is not taken, and asked for again soon', () => {
    const { time, told, pass, isDue } = machine();
    time.note({ offsetMs: -4000, errorMs: 4000 });
    expect([time.offsetMs, time.isKnown, told]).toEqual([0, true, []]);
    pass(9000);
    expect(isDue()).toBe(false);
    pass(2000);
    expect(isDue()).toBe(true);
    time.note({ offsetMs: 3, errorMs: 1 });
    expect(time.offsetMs).toBe(0);
    pass(11_000);
    expect(isDue()).toBe(false);
  });

  test('that is known is not spoiled by a long answer', () => {
    const { time } = machine();
    time.note({ offsetMs: HOUR_MS, errorMs: 1 });
    time.note({ offsetMs: HOUR_MS - 4000, errorMs: 4000 });
    expect(time.offsetMs).toBe(HOUR_MS);
  });

  test('is taken from a long answer that proves the clock wrong', () => {
    const { time, told } = machine();
    time.note({ offsetMs: HOUR_MS, errorMs: 4000 });
    expect(time.offsetMs).toBe(HOUR_MS);
    expect(told).toHaveLength(1);
  });

  test('heals', () => {
    const { time } = machine();
    time.note({ offsetMs: 5000, errorMs: 1 });
    time.note({ offsetMs: 2, errorMs: 1 });
    expect(time.offsetMs).toBe(0);
  });

  test('is asked for again a moment after the store gave no answer', () => {
    const { time, set, pass, isDue } = machine();
    time.note({ offsetMs: 0, errorMs: 1 });
    set(5000);
    time.postpone();
    expect([isDue(), time.offsetMs]).toEqual([false, 5000]);
    pass(11_000);
    expect(isDue()).toBe(true);
  });

  test('of a store without a clock is this machine’s', () => {
    const { time, set, pass, isDue } = machine();
    time.note(undefined);
    set(HOUR_MS);
    pass(HOUR_MS);
    expect([time.isKnown, isDue(), time.offsetMs]).toEqual([true, false, 0]);
  });
});
