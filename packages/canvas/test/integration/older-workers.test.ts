/**
 * Workers of a version that does not know the internal jobs of waits, sleeps and loops: such a job fails with the reason and
 * keeps its data, and a worker that knows it continues the run. The sender of the test names the jobs as such a worker has
 * never seen them.
 */
import { chain, loop, sleep, waitFor } from '@umbel/canvas';
import { type Signature, TaskFailedError } from '@umbel/core';
import { INTERNAL_JOB } from '@umbel/core/internal';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;
const KNOWN = { ...INTERNAL_JOB };
const LATER = { wait: 'umbel:later-wait', sleep: 'umbel:later-sleep', loop: 'umbel:later-loop' };

/** Whether this process knows the jobs of the later version. */
function setVersion(names: Partial<Record<keyof typeof KNOWN, string>>): void {
  Object.assign(INTERNAL_JOB, names);
}

afterEach(() => setVersion(KNOWN));

function open(engine: Engine) {
  const app = engine.app();
  const paid = app.signal({ name: 'paid', payload: z.object({ n: z.number() }) });
  const ran: number[] = [];
  const next = app.task({
    name: 'next',
    input: z.object({ n: z.number() }),
    run: async ({ n }) => {
      ran.push(n);
      return { n: n + 1 };
    },
  });
  return { app, paid, next, ran };
}

type Tasks = ReturnType<typeof open>;

const FLOWS: Readonly<Record<string, (tasks: Tasks) => Signature<string, { n: number }, unknown>>> = {
  wait: ({ next, paid }) => chain(next, waitFor(paid, { key: { text: 'k' }, timeout: '1h' }), next),
  sleep: ({ next }) => chain(next, sleep(5), next),
  loop: ({ next }) => chain(next, loop(next, { until: { n: 5 }, max: 9 })),
};
const RESULTS = { wait: { n: 8 }, sleep: { n: 3 }, loop: { value: { n: 5 }, stopped: 'done' } };

onEveryEngine('an older worker', (engine) => {
  test.each(Object.keys(LATER) as (keyof typeof LATER)[])(
    'fails a job of a later version with the reason, and loses nothing: %s',
    async (kind) => {
      const tasks = open(engine);
      setVersion(LATER);
      const run = await FLOWS[kind]?.(tasks).delay({ n: 1 });
      setVersion(KNOWN);
      await tasks.app.worker().start();
      const error = await run?.get(soon).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TaskFailedError);
      expect((error as TaskFailedError).cause).toMatchObject({ code: 'CORRUPT_JOB' });
      expect(String(error)).toContain(
        `there is no internal job "${LATER[kind]}" in this version of the worker; update it, then resume the run`,
      );
      expect(tasks.ran).toEqual([1]);
      if (kind === 'wait') expect(await tasks.paid.send('k', { n: 7 })).toBe('accepted'); // it is kept

      setVersion(LATER); // the worker is updated
      await run?.resume();
      expect(await run?.get(soon)).toEqual(RESULTS[kind]);
      expect(tasks.ran[0]).toBe(1);
      expect(tasks.ran.filter((n) => n === 1)).toHaveLength(1);
    },
  );
});
