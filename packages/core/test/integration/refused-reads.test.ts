/** W6: a store that refuses a read for longer than a lock lasts is no failure of the job that needs it. */
import { type App, createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';

const READS = ['getProcessedChildrenValues', 'getIgnoredChildrenFailures'] as const;

/** A memory store that can be told to refuse one of the reads; how often it did. */
function refusing() {
  const state: { read?: string; refused: number } = { refused: 0 };
  const factory = memory();
  const connection: BackendFactory<IQueueBackend> = (queue, options, more) => {
    const backend = factory(queue, options, more);
    for (const read of READS) {
      const original = backend[read].bind(backend) as (id: string) => Promise<never>;
      Object.assign(backend, {
        [read]: async (id: string) => {
          if (state.read !== read) return original(id);
          state.refused += 1;
          throw new Error('BUSY Redis is busy running a script.');
        },
      });
    }
    return backend;
  };
  return { connection, state };
}

/** A task that is replaced by another one, which runs when it is let go. */
function replaced(app: App) {
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const double = app.task({
    name: 'double',
    input: z.number(),
    run: async (n) => {
      await gone;
      if (n < 0) throw new RangeError('negative');
      return n * 2;
    },
  });
  const starts: number[] = [];
  const becomes = app.task({
    name: 'becomes',
    input: z.number(),
    run: async (n, ctx) => {
      starts.push(n);
      return ctx.replace(double.si(n));
    },
  });
  return { becomes, starts, letGo };
}

describe('a job that was replaced', () => {
  test.each([
    ['getProcessedChildrenValues', 21, 42],
    ['getIgnoredChildrenFailures', -1, 'negative'],
  ] as const)('is not charged when the store refuses %s', async (read, input, outcome) => {
    const { connection, state } = refusing();
    const app = createApp({ name: 'refused', connection, logger: { info() {}, warn() {}, error() {} } });
    const { becomes, starts, letGo } = replaced(app);
    await app.worker({ lockDuration: '1s' }).start();
    const result = await becomes.delay(input);
    await vi.waitFor(async () => expect(await result.state()).toBe('waiting-children'));
    state.read = read;
    letGo();
    // For longer than its lock lasts.
    await vi.waitFor(() => expect(state.refused).toBeGreaterThan(6), { timeout: 10_000 });
    expect(await result.state()).toBe('active');
    delete state.read;
    const ended = result.get({ timeout: '50s' }).catch(({ cause }: { cause: Error }) => cause.message);
    expect(await ended).toBe(outcome);
    expect(state.refused).toBeGreaterThan(2);
    expect(starts).toEqual([input]);
    await app.close();
  });
});
