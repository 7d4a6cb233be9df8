/** Worker processes that are told to end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type App, createApp, type WorkerOptions } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { quickly } from '../../../../test/support/quick-packages.js';

const program = quickly(fileURLToPath(new URL('./worker-program.mjs', import.meta.url)));
const soon = { timeout: '50s' } as const;

describe('a worker process', () => {
  let app: App;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    app = createApp({ name: `process-${randomUUID()}`, connection: inject('redisUrl') });
  });

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await app.close();
  });

  const send = (ms: number) => app.signature<number>('held').delay({ ms });

  async function started(options: WorkerOptions = {}, ...more: string[]) {
    const args = [program, inject('redisUrl'), app.name, JSON.stringify(options), ...more];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const lines: string[] = [];
    createInterface(child.stdout).on('line', (line) => lines.push(line));
    const exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
    const prints = (text: string, times = 1) =>
      vi.waitFor(() => expect(lines.filter((line) => line.includes(text))).toHaveLength(times), {
        timeout: 15_000,
        interval: 5,
      });
    await prints('ready');
    return { child, lines, exited, prints };
  }

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'finishes what runs after %s, and exits with 0',
    async (signal) => {
      const worker = await started();
      const result = await send(500);
      await worker.prints('began 1');
      worker.child.kill(signal);
      await worker.prints(`${signal}: worker`);
      let exited = false;
      void worker.exited.then(() => {
        exited = true;
      });
      const late = [];
      while (!exited) {
        late.push(await send(0));
        await pause(20);
      }
      expect(await worker.exited).toEqual({ code: 0, signal: null });
      expect(await result.get(soon)).toBe(worker.child.pid);
      // A fetch that was under way at the signal may still bring the first one.
      const states = await Promise.all(late.slice(1).map((one) => one.state()));
      expect(states.length).toBeGreaterThan(3);
      expect(new Set(states)).toEqual(new Set(['waiting']));
      expect(worker.lines.at(-1)).toMatch(/^ended: closed \{"completed":[12],/);
    },
  );

  test('exits at once when nothing runs', async () => {
    const worker = await started();
    worker.child.kill('SIGTERM');
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.lines).toContainEqual(expect.stringMatching(/SIGTERM: worker \S+ takes no more jobs$/));
  });

  test.each([
    ['SIGTERM', 'SIGTERM', 143],
    ['SIGINT', 'SIGINT', 130],
    ['SIGTERM', 'SIGINT', 130],
  ] as const)('gives back what runs after %s and %s, and exits with %i', async (first, second, code) => {
    const worker = await started();
    const result = await send(30_000);
    await worker.prints('began 1');
    worker.child.kill(first);
    await worker.prints(`${first}: worker`);
    worker.child.kill(second);
    expect(await worker.exited).toEqual({ code, signal: null });
    expect(worker.lines).toContain('aborted: WorkerClosedError');
    expect(worker.lines).toContainEqual(
      expect.stringMatching(new RegExp(`returned a running job to its queue: held ${result.id}`)),
    );
    const other = await started();
    await other.prints('began 1'); // at once, and as the first attempt still
    other.child.kill('SIGKILL');
  });

  test('gives back what has not ended in its time, and exits with 0', async () => {
    const worker = await started({ shutdownTimeout: '300ms' });
    const result = await send(30_000);
    await worker.prints('began 1');
    worker.child.kill('SIGTERM');
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.lines).toContainEqual(expect.stringContaining(`held ${result.id}`));
    expect(worker.lines.at(-1)).toMatch(/"returned":1/);
  });

  test('leaves the end of the process to a program that listens for the signal itself', async () => {
    const worker = await started({}, '--listens');
    worker.child.kill('SIGTERM');
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.lines).toContain('heard by the program');
    expect(worker.lines).toContain('closed: signal');
  });

  test('dies of the signal as any program if it is not to heed it', async () => {
    const worker = await started({ handleSignals: false });
    worker.child.kill('SIGTERM');
    expect(await worker.exited).toEqual({ code: null, signal: 'SIGTERM' });
  });

  test('ends by itself once it has run its jobs', async () => {
    const worker = await started({ maxJobs: 2 });
    await Promise.all([send(0), send(0)]);
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.lines).toContainEqual(expect.stringContaining('is closing: it has run 2 attempts'));
  });
});
