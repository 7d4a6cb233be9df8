import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chain, chord, fallback, group, map } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { quickly } from '../../../../test/support/quick-packages.js';

const program = quickly(fileURLToPath(new URL('./worker.mjs', import.meta.url)));
const MEMBERS = 40;
const CONCURRENCY = 3;

interface Entry {
  readonly task: string;
  readonly n?: number;
  readonly numbers?: readonly number[];
  readonly pid: number;
}

describe('kill -9 of a worker', () => {
  let folder: string;
  let app: App;
  const processes: ChildProcess[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-kill-'));
    app = createApp({ name: `kill-${randomUUID()}`, connection: inject('redisUrl') });
  });

  afterEach(async () => {
    for (const process of processes.splice(0)) process.kill('SIGKILL');
    await app.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ledger = (): Entry[] =>
    readFileSync(join(folder, 'ledger'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Entry);

  /** Starts a worker process; gives it once it has written `line` for the `times`-th time. */
  async function workerUntil(line: string, times: number): Promise<ChildProcess> {
    const args = [program, inject('redisUrl'), app.name, join(folder, 'ledger')];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    processes.push(child);
    let seen = 0;
    for await (const text of createInterface(child.stdout)) {
      if (text === line) seen += 1;
      if (seen === times) return child;
    }
    throw new Error(`the worker ended before it wrote "${line}" ${times} times`);
  }

  async function kill(child: ChildProcess): Promise<void> {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    expect(child.signalCode).toBe('SIGKILL');
  }

  const tasks = () => ({
    square: app.defineTask({ name: 'square', input: z.number(), output: z.number() }),
    sum: app.defineTask({ name: 'sum', input: z.array(z.number()), output: z.number() }),
    squares: app.defineTask({ name: 'squares', input: z.number(), output: z.array(z.number()) }),
    grow: app.defineTask({ name: 'grow', input: z.number(), output: z.number() }),
    refuse: app.defineTask({ name: 'refuse', input: z.unknown(), output: z.number() }),
  });

  const expected = Array.from({ length: MEMBERS }, (_, n) => n * n);
  const total = expected.reduce((sum, n) => sum + n, 0);

  /** Every member ran; again only those under way at the kill; the body ran once, on all results, in order. */
  function checkLedger(survivor: ChildProcess): void {
    const entries = ledger();
    const squares = entries.filter((entry) => entry.task === 'square');
    expect(new Set(squares.map((entry) => entry.n)).size).toBe(MEMBERS);
    expect(squares.length).toBeLessThanOrEqual(MEMBERS + CONCURRENCY);
    expect(new Set(squares.map((entry) => entry.pid)).size).toBe(2);
    const bodies = entries.filter((entry) => entry.task === 'sum');
    expect(bodies).toEqual([{ task: 'sum', numbers: expected, pid: survivor.pid }]);
  }

  test('in the middle of a chord: another worker finishes the run, with one body', async () => {
    const { square, sum } = tasks();
    const result = await chord(
      Array.from({ length: MEMBERS }, (_, n) => square.si(n)),
      sum,
    ).delay();
    await kill(await workerUntil('started', 12));
    expect(await result.state()).toBe('waiting-children');
    const survivor = await workerUntil('ready', 1);
    expect(await result.get({ timeout: '50s' })).toBe(total);
    checkLedger(survivor);
  });

  test('in the middle of a group after a step: another worker finishes the run, with one body', async () => {
    const { square, sum } = tasks();
    const members = Array.from({ length: MEMBERS }, (_, n) => square.si(n));
    const result = await chain(sum, group(members), sum).delay([]);
    await kill(await workerUntil('started', 12));
    const survivor = await workerUntil('ready', 1);
    expect(await result.get({ timeout: '50s' })).toBe(total);
    const [first, ...rest] = ledger();
    expect(first).toMatchObject({ task: 'sum', numbers: [] });
    expect(rest.filter((entry) => entry.task === 'sum')).toEqual([
      { task: 'sum', numbers: expected, pid: survivor.pid },
    ]);
  });

  test('again and again, in a run of every construct: it gives what it gives without', async () => {
    const { square, sum, squares, grow, refuse } = tasks();
    const many = Array.from({ length: 120 }, (_, n) => n);
    const sumOfSquares = many.reduce((all, n) => all + n * n, 0);
    const run = await group({
      mapped: chain(map(square, many), sum),
      replaced: chain(squares.si(15), sum),
      grown: group([grow.si(3), square.si(2)]),
      any: chain(square.si(3), group.any([refuse, square])),
      settled: group.settled([square.si(4), refuse.si(1)]),
      fallen: chain(fallback(refuse.si(1), square.si(6)), square),
      spread: chain(squares.si(12), map(square), sum),
      body: chain(squares.si(3), sum),
    }).delay();
    for (const started of [20, 35, 50, 30]) await kill(await workerUntil('started', started));
    await workerUntil('ready', 1);
    expect(await run.get({ timeout: '50s' })).toMatchObject({
      mapped: sumOfSquares,
      replaced: 1015,
      grown: [3, 4, 9],
      any: 81,
      settled: [{ ok: true, value: 16 }, { ok: false }],
      fallen: 1296,
      spread: 39_974,
      body: 5,
    });
    // Bodies: of `mapped`, `replaced`, `spread` and `body`, each committed once and started at most once a worker.
    const bodies = ledger().filter((entry) => entry.task === 'sum');
    expect(bodies.length).toBeGreaterThanOrEqual(4);
    expect(new Set(bodies.map(({ numbers }) => JSON.stringify(numbers))).size).toBe(4);
  }, 300_000);
});
