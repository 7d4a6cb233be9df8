/** The example as an operator runs it: two worker processes, and a controller beside them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createApp } from '@umbel/core';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

describe('two workers, a schedule and a controller', () => {
  const shop = `shop-${randomUUID()}`;
  const processes: ChildProcess[] = [];

  afterEach(() => {
    for (const child of processes.splice(0)) child.kill('SIGKILL');
  });

  function run(program: string, ...args: string[]) {
    const env = { ...process.env, SHOP: shop, UMBEL_URL: inject('redisUrl') };
    const child = spawn(process.execPath, [`${dist}${program}.js`, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    processes.push(child);
    const lines: string[] = [];
    createInterface(child.stdout).on('line', (line) => lines.push(line));
    const printed = (start: string) =>
      vi.waitFor(
        () => {
          const line = lines.find((candidate) => candidate.startsWith(start));
          if (line === undefined) throw new Error(`"${start}" is not among: ${lines.join('\n')}`);
          return line.slice(start.length);
        },
        { timeout: 20_000, interval: 20 },
      );
    return { child, lines, printed, exited: once(child, 'exit').then(([code]) => code as number | null) };
  }

  test('work together', async () => {
    const [a, b] = [run('worker', 'a'), run('worker', 'b')];
    const probes = await a.printed('ready: ');
    await b.printed('ready: ');

    const controller = run('controller');
    expect(await controller.exited).toBe(0);
    const queues = '{"orders":{"concurrency":5,"active":0},"default":{"concurrency":2,"active":0}}';
    expect(controller.lines).toEqual([
      `worker a: {"state":"online","queues":${queues}}`,
      `worker b: {"state":"online","queues":${queues}}`,
      'answered: ["a","b"]',
      'missing: []',
      'shipped: "order 1 is on its way"',
      'counted by the schedule: "stock.count"',
      'last slot: {"outcome":"fired","isLate":false}',
      'orders: {"isPaused":true,"waiting":1,"workers":["a","b"]}',
      'resumed: "order 2 is on its way"',
      'failed: 1',
      'dead letter: {"input":{"order":3,"cents":0},"error":"order 3 costs nothing"}',
      'replayed: {"order":3,"cents":250}',
      'told to end: ["b"]',
      'offline: "b"',
      'still shipping: "order 4 is on its way"',
    ]);

    // The one that was told has ended by itself, with its process.
    expect(await b.exited).toBe(0);
    expect(b.lines).toContain('closed: control');
    const ready = await fetch(`${probes}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { live: true, ready: true, reasons: [] }]);
    const metrics = await (await fetch(`${probes}/metrics`)).text();
    expect(metrics).toMatch(/^umbel_attempts_total\{.*task="order.ship".*\} [1-9]/m);
    a.child.kill('SIGTERM');
    expect(await a.exited).toBe(0);
    expect(a.lines).toContain('closed: signal');

    const app = createApp({ name: shop, connection: inject('redisUrl') });
    expect(await app.inspect.workers()).toEqual([]);
    await app.close();
  }, 300_000);
});
