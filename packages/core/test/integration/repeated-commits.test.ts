/** Commits that reach the store twice, as those of a client that sends again by itself after a cut. */
import type { IQueueBackend } from 'bullmq';
import { expect, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';

const COMMITS = ['moveToCompleted', 'moveToFailed', 'moveToDelayed'] as const;

/** Lets each outcome of a job reach the store twice; the first answer is lost. */
function repeatsCommits(backend: IQueueBackend): IQueueBackend {
  for (const name of COMMITS) {
    const command = backend[name].bind(backend) as (...args: unknown[]) => Promise<never>;
    backend[name] = async (...args: unknown[]) => {
      // The next job would be handed out in the answer that is lost.
      await command(...args.map(withoutNext));
      return command(...args);
    };
  }
  return backend;
}

function withoutNext(argument: unknown): unknown {
  if (argument === true) return false;
  const isOptions = typeof argument === 'object' && argument !== null && 'fetchNext' in argument;
  return isOptions ? { ...argument, fetchNext: false } : argument;
}

onEveryEngine('an outcome that reaches the store twice', (engine) => {
  async function open() {
    const logged: string[] = [];
    const note = (text: unknown) => void logged.push(String(text));
    const logger = { info() {}, warn: note, error: note };
    engine.app();
    const { options, factory } = engine.connection();
    const connection: typeof factory = (name, given, more) =>
      repeatsCommits(
        factory(name, { ...given, ...('url' in options && { connection: options }) }, more),
      ) as never;
    const app = engine.sameApp({ connection, logger });
    let runs = 0;
    const task = app.task({
      name: 'task',
      retry: { attempts: 2, delay: 1, jitter: false },
      run: async (_, ctx) => {
        runs += 1;
        if (ctx.attempt === 1) throw new Error('not yet');
        return 'done';
      },
    });
    const failing = app.task({ name: 'failing', run: async () => Promise.reject(new Error('never')) });
    await app.worker({ heartbeat: false, concurrency: 1 }).start();
    return { app, task, failing, logged, runs: () => runs };
  }

  test('counts once: the handler runs once for each attempt, and nobody else is said to have the job', async () => {
    const { task, failing, logged, runs } = await open();
    const results = await Promise.all([task.delay(), task.delay(), failing.delay()]);
    const [first, second, third] = results;
    expect(await first?.get({ timeout: '50s' })).toBe('done');
    expect(await second?.get({ timeout: '50s' })).toBe('done');
    await expect(third?.get({ timeout: '50s' })).rejects.toThrow('never');
    expect(runs()).toBe(4);
    await vi.waitFor(async () => expect((await first?.info())?.attempts).toBe(2));
    expect(logged.filter((text) => text.includes('by another worker'))).toEqual([]);
  });
});
