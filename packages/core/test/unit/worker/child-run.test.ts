import { expect, test } from 'vitest';
import { toEntry } from '../../../src/task/definition.js';
import { ChildRun } from '../../../src/worker/isolate/child-run.js';
import type { FromChild, RunRequest } from '../../../src/worker/isolate/messages.js';

const HOUR_MS = 3_600_000;

/** What the handler of an isolated task gives, as its child sends it. */
async function resultOf(
  order: Partial<RunRequest>,
  run: (ctx: { now(): number }) => unknown,
): Promise<unknown> {
  const sent: FromChild[] = [];
  const context = {
    id: '1',
    name: 'task',
    queue: 'default',
    attempt: 1,
    rootId: '1',
    enqueuedAt: new Date(),
  };
  const whole: RunRequest = {
    ...{ kind: 'run', run: 1, app: 'app', task: 'task', input: undefined, aheadMs: 0 },
    context: { ...context, idempotencyKey: 'key', headers: {}, tags: [] },
    ...{ added: {}, withheld: [] },
    ...order,
  };
  const task = { ...toEntry({ name: 'task' }), run: async (_: unknown, ctx: { now(): number }) => run(ctx) };
  await new ChildRun(whole, task, (message) => sent.push(message)).execute();
  return sent.flatMap((message) => (message.kind === 'result' ? [message.value] : []))[0];
}

test.each([HOUR_MS, -HOUR_MS, 0])(
  'ctx.now() in a child process is the time of the app: %i ms',
  async (aheadMs) => {
    const now = (await resultOf({ aheadMs }, (ctx) => ctx.now())) as number;
    expect(Math.abs(Date.now() - aheadMs - now)).toBeLessThan(5000);
  },
);
