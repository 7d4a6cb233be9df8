import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type App, createApp } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { quickly } from '../../../../test/support/quick-packages.js';

const program = quickly(fileURLToPath(new URL('./schedule-worker.mjs', import.meta.url)));
const SCHEDULES = 200;
const SLOTS = 10;
const CONCURRENCY = 5;

interface Entry {
  readonly schedule: string;
  readonly slot: string;
  readonly id: string;
  readonly pid: number;
}

describe('two workers with 200 schedules, each every second', () => {
  let folder: string;
  let app: App;
  const processes: ChildProcess[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-schedules-'));
    app = createApp({ name: `schedules-${randomUUID()}`, connection: inject('redisUrl') });
  });

  afterEach(async () => {
    for (const process of processes.splice(0)) process.kill('SIGKILL');
    for (const { name } of await app.schedules.list()) await app.schedules.get(name).remove();
    await app.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ledger = (): Entry[] => {
    const file = join(folder, 'ledger');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Entry);
  };

  async function worker(start: number, name = app.name): Promise<ChildProcess> {
    const args = [inject('redisUrl'), name, join(folder, 'ledger'), start, SLOTS, SCHEDULES].map(String);
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    processes.push(child);
    for await (const line of createInterface(child.stdout)) if (line === 'ready') return child;
    throw new Error('the worker ended before it was ready');
  }

  test('fire each slot once, also across a kill -9 of one of them', { timeout: 300_000 }, async () => {
    // They are to be there when the slots begin: how long that takes, another one shows.
    const startedAt = Date.now();
    (await worker(startedAt + 3_600_000, `${app.name}-before`)).kill('SIGKILL');
    const leadMs = 2000 + 4 * (Date.now() - startedAt);
    const start = Math.ceil((Date.now() + leadMs) / 1000) * 1000;
    const [first, second] = await Promise.all([worker(start), worker(start)]);
    expect(Date.now()).toBeLessThan(start);
    const all = SCHEDULES * SLOTS;
    await vi.waitFor(() => expect(ledger().length).toBeGreaterThan(all * 0.4), {
      timeout: 30_000,
      interval: 20,
    });
    const exited = new Promise((resolve) => first?.once('exit', resolve));
    first?.kill('SIGKILL');
    await exited;
    expect(first?.signalCode).toBe('SIGKILL');
    expect(ledger().length).toBeLessThan(all * 0.9);
    const third = await worker(start);
    const slotsOf = (entries: Entry[]) => new Set(entries.map(({ schedule, slot }) => `${schedule} ${slot}`));
    await vi.waitFor(() => expect(slotsOf(ledger()).size).toBe(all), { timeout: 40_000, interval: 100 });
    // Nothing is left to come: all have ended, and every job that was sent has run.
    await vi.waitFor(
      async () => {
        expect(await app.queue('default').counts()).toMatchObject({ completed: all, waiting: 0, active: 0 });
      },
      { timeout: 20_000, interval: 100 },
    );
    const infos = await app.schedules.list();
    expect(infos).toHaveLength(SCHEDULES);
    expect(infos.filter(({ state }) => state !== 'ended')).toEqual([]);

    const entries = ledger();
    expect(new Set(entries.map(({ pid }) => pid))).toEqual(new Set([first?.pid, second?.pid, third.pid]));
    const expected = Array.from({ length: SCHEDULES }, (_, n) =>
      Array.from({ length: SLOTS }, (_, k) => `tick-${n} ${new Date(start + k * 1000).toISOString()}`),
    ).flat();
    expect([...slotsOf(entries)].sort()).toEqual(expected.sort());
    // One job for each slot: only those under way at the kill have run twice.
    expect(new Set(entries.map(({ id }) => id)).size).toBe(all);
    expect(entries.length).toBeLessThanOrEqual(all + CONCURRENCY);
  });
});
