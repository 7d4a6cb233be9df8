import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createLogger, logging, outcomes } from '../src/logging.js';

/** A logger, and what it has written. */
function recorded() {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({ write: (line) => void lines.push(JSON.parse(line)) });
  return { logger, lines };
}

test('handlers log with what names their attempt', async () => {
  const { logger, lines } = recorded();
  const app = createApp({ name: 'app', connection: memory(), middleware: [logging(logger)] });
  onTestFinished(() => app.close());
  const greet = app.task({
    name: 'greet',
    input: z.string(),
    run: async (name, ctx) => {
      ctx.logger.info({ name }, 'hello');
    },
  });
  await app.worker().start();
  const result = await greet.delay('Ada');
  await result.get({ timeout: '50s' });
  const names = { level: 'info', time: expect.any(Number), jobId: result.id, task: 'greet', attempt: 1 };
  expect(lines).toEqual([
    { ...names, msg: 'attempt started' },
    { ...names, msg: 'hello', name: 'Ada' },
    { ...names, msg: 'attempt ended', durationMs: expect.any(Number) },
  ]);
});

test('a result that does not fit fails after the middleware, and only the hook tells', async () => {
  const { logger, lines } = recorded();
  const app = createApp({
    name: 'app',
    connection: memory(),
    middleware: [logging(logger)],
    hooks: outcomes(logger),
  });
  onTestFinished(() => app.close());
  const task = app.task({ name: 'task', output: z.string().min(1), run: async () => '' });
  await app.worker().start();
  await (await task.delay()).outcome({ timeout: '50s' });
  expect(lines.map(({ msg }) => msg)).toEqual(['attempt started', 'attempt ended', 'the job failed']);
});

test('pino takes what Umbel itself has to say', async () => {
  const { logger, lines } = recorded();
  const app = createApp({ name: 'app', connection: memory(), logger });
  onTestFinished(() => app.close());
  const task = app.task({
    name: 'task',
    hooks: {
      before: () => {
        throw new Error('oops');
      },
    },
    run: async () => 1,
  });
  await app.worker().start();
  await (await task.delay()).get({ timeout: '50s' });
  expect(lines).toEqual([
    {
      level: 'error',
      time: expect.any(Number),
      msg: expect.stringContaining('a hook of task "task" threw: oops'),
    },
  ]);
});
