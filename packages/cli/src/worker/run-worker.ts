/** A worker from its banner to its exit code. */
import type { App, AppWorker, CloseReason } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import type { LoadedApp } from '../app-loader.js';
import { EXIT, type ExitCode } from '../errors/exit-codes.js';
import type { Output } from '../output/output.js';
import { counted, shortDuration } from '../output/text.js';
import { banner } from './banner.js';
import { type WorkerFlags, workerOptions } from './flags.js';
import { loadTypeScriptInChildren } from './isolated.js';
import type { WorkerLog } from './log.js';
import { isOneOfSeveral, runAsOneOfSeveral } from './scaling.js';
import { closeWhenEmpty } from './until-empty.js';

export interface RunWorker {
  readonly loaded: LoadedApp;
  readonly flags: WorkerFlags;
  readonly out: Output;
  readonly log: WorkerLog;
  /** Instead of its address. */
  readonly store?: string;
  /** Is called once it takes jobs. */
  readonly onReady?: (worker: AppWorker) => void;
}

export async function runWorker({ loaded, flags, out, log, store, onReady }: RunWorker): Promise<ExitCode> {
  const { app } = loaded;
  const description = app.describe();
  loadTypeScriptInChildren(description);
  const worker = app.worker(workerOptions(flags));
  activityOf(app).onActivity(log);
  if (isOneOfSeveral(worker)) return runAsOneOfSeveral(worker);
  if (flags.logFormat !== 'json') {
    const facts = {
      app: description,
      worker: worker.name,
      queues: worker.queues,
      concurrency: shownConcurrency(flags),
    };
    out.note(banner({ ...facts, ...(store !== undefined && { store }) }, out.noteColors));
  }
  const startedAt = performance.now();
  const ended = worker.closed.then((reason) => tellEnd(log, worker, reason, performance.now() - startedAt));
  await worker.start();
  if (worker.state === 'running') {
    const port = worker.healthPort === undefined ? '' : `, probes at port ${worker.healthPort}`;
    log.event('info', 'ready', `ready${port}`, {
      app: app.name,
      worker: worker.name,
      queues: worker.queues,
      tasks: description.tasks.filter(({ hasHandler }) => hasHandler).map(({ name }) => name),
      store: description.store.address,
      ...(worker.healthPort !== undefined && { healthPort: worker.healthPort }),
    });
    onReady?.(worker);
    if (flags.untilEmpty) await closeWhenEmpty(app, worker);
  }
  await ended;
  await app.close();
  return flags.untilEmpty && worker.counts.failed > 0 ? EXIT.failed : EXIT.ok;
}

/** The run-time side of an app, also of one that another copy of core has made: `coreOf` knows its own class only. */
function activityOf(app: App): Pick<ReturnType<typeof coreOf>, 'onActivity'> {
  return app as unknown as ReturnType<typeof coreOf>;
}

function shownConcurrency({ queues, concurrency }: WorkerFlags): (queue: string) => string {
  return (name) => {
    const own = queues?.find(({ queue }) => queue === name)?.concurrency ?? concurrency ?? 10;
    return typeof own === 'number' ? String(own) : `${own.min}..${own.max}`;
  };
}

const WHY: Readonly<Record<CloseReason, string>> = {
  closed: 'closed',
  signal: 'ended by a signal',
  control: 'ended: it was told to shut down',
  'max-jobs': 'ended: it has run as many jobs as it may',
  'max-memory': 'ended: it uses as much memory as it may',
};

function tellEnd(log: WorkerLog, { counts }: AppWorker, reason: CloseReason, ms: number): void {
  const { completed, failed, retried } = counts;
  const words = `${counted(completed, 'attempt')} completed, ${failed} failed, ${retried} retried, in ${shortDuration(ms)}`;
  log.event('info', 'end', `${WHY[reason] ?? reason}; ${words}`, { reason, counts });
}
