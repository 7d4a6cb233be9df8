/** A started app with the tasks that most tests need, and short ways to what came of a run. */
import { type App, type AsyncResult, TaskFailedError } from '@umbel/core';
import { z } from 'zod';
import type { Engine } from '../../../../test/engines.js';
import { type Toolbox, toolbox } from './toolbox.js';

export const soon = { timeout: '50s' } as const;

export interface Running extends Toolbox {
  readonly app: App;
  /** A task that keeps what it is given in `notes`. */
  readonly note: ReturnType<typeof noteTask>;
  readonly notes: unknown[];
}

/** An app with its tasks and a worker. */
export async function start(engine: Engine, options: Parameters<Engine['app']>[0] = {}): Promise<Running> {
  const app = engine.app(options);
  const notes: unknown[] = [];
  const tasks = { app, note: noteTask(app, notes), notes, ...toolbox(app) };
  await app.worker().start();
  return tasks;
}

function noteTask(app: App, notes: unknown[]) {
  return app.task({
    name: 'note',
    input: z.unknown(),
    run: async (value) => {
      notes.push(value);
    },
  });
}

export async function value<T>(sent: Promise<AsyncResult<T>>): Promise<T> {
  return (await sent).get(soon);
}

export async function failure(sent: Promise<AsyncResult<unknown>>): Promise<TaskFailedError> {
  const error = await value(sent).catch((reason: unknown) => reason);
  if (!(error instanceof TaskFailedError)) throw new Error(`expected a failed run, got ${String(error)}`);
  return error;
}
