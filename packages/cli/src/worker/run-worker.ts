/** Runs a worker for `umbel worker` and `umbel dev`: banner, log, end, exit code. */
import type { App, AppDescription, AppWorker, CloseReason } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import type { LoadedApp } from '../app-loader.js';
import { EXIT, type ExitCode, umbelCode } from '../errors.js';
import { type Colors, cleanLine, counted, type Output, shortDuration } from '../output.js';
import { ownVersion } from '../start.js';
import { isChildProcess, runChildProcess, type WorkerFlags, workerOptions } from './flags.js';
import type { WorkerLog } from './log.js';

// The banner that a worker prints at its start.

export interface BannerFacts {
  readonly app: AppDescription;
  readonly worker: string;
  readonly queues: readonly string[];
  readonly concurrency: (queue: string) => string;
  /** Replaces the address of the store. */
  readonly store?: string;
}

const MAX_TASKS = 30;

export function banner(
  { app, worker, queues, concurrency, store }: BannerFacts,
  { bold, dim, cyan, yellow }: Colors,
): string {
  const row = (name: string, value: string) => `  ${dim(name.padEnd(8))} ${cleanLine(value)}`;
  const handled = app.tasks.filter(({ hasHandler }) => hasHandler);
  const width = Math.max(0, ...handled.slice(0, MAX_TASKS).map(({ name }) => name.length));
  const tasks = handled.slice(0, MAX_TASKS).map(({ name, queue, isolate }) => {
    const note = queues.includes(queue) ? '' : yellow('  not served here');
    const isolation = isolate === undefined ? '' : dim('  isolated');
    return `    ${cyan(cleanLine(name).padEnd(width))}  ${dim(cleanLine(queue))}${isolation}${note}`;
  });
  const more = handled.length > MAX_TASKS ? [dim(`    and ${handled.length - MAX_TASKS} more`)] : [];
  return [
    `${bold('umbel')} ${dim(ownVersion())}`,
    row('app', app.name),
    row('store', store ?? app.store.address),
    row('worker', worker),
    row('queues', queues.map((queue) => `${queue} (${concurrency(queue)})`).join(', ') || 'none'),
    `  ${dim('tasks'.padEnd(8))} ${counted(handled.length, 'task')}`,
    ...tasks,
    ...more,
    '',
  ].join('\n');
}

// Isolated tasks in TypeScript: their child processes must load modules as this process does.

/** Lets child processes, which inherit `execArgv`, load TypeScript. */
export function loadTypeScriptInChildren({ tasks }: AppDescription, execArgv = process.execArgv): void {
  const needsLoader = tasks.some(({ isolate }) => isolate !== undefined && /\.[cm]?tsx?$/.test(isolate));
  if (!needsLoader) return;
  const loader = new URL('./typescript-register.js', import.meta.url).href;
  if (!execArgv.includes(loader)) execArgv.push('--import', loader);
}

// Closes a worker once its queues are empty.

/** The queue of internal jobs, which may add jobs to any queue. */
const INTERNAL_QUEUE = 'umbel';
const PAUSE_MS = 200;

/**
 * Closes the worker once no job runs, waits or is delayed in its queues, including retries and later steps of workflows.
 * Counts twice, with no attempt in between: a job may move from one queue to another while they are counted.
 */
export async function closeWhenEmpty(app: App, worker: AppWorker): Promise<void> {
  try {
    let emptyAt: number | undefined;
    while (worker.state === 'running') {
      const ended = endedOf(worker);
      const isEmpty =
        worker.active.length === 0 && (await areEmpty(app, worker.queues).catch(falseIfDisconnected));
      if (isEmpty && emptyAt === ended && endedOf(worker) === ended && worker.active.length === 0) break;
      emptyAt = isEmpty ? ended : undefined;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } finally {
    await worker.close();
  }
}

/** Returns false for a lost connection: the store may hold jobs. */
function falseIfDisconnected(error: unknown): false {
  if (umbelCode(error) === 'CONNECTION') return false;
  throw error;
}

function endedOf({ counts }: AppWorker): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

async function areEmpty(app: App, queues: readonly string[]): Promise<boolean> {
  const internalJobs = async () => {
    const { waiting, active } = await app.queue(INTERNAL_QUEUE).counts();
    return waiting + active;
  };
  if ((await internalJobs()) > 0) return false;
  for (const queue of queues) {
    const counts = await app.queue(queue).counts();
    if (counts.waiting + counts.active + counts.delayed + counts['waiting-children'] > 0) return false;
  }
  return (await internalJobs()) === 0;
}

interface RunWorkerOptions {
  readonly loaded: LoadedApp;
  readonly flags: WorkerFlags;
  readonly out: Output;
  readonly log: WorkerLog;
  /** Replaces the address of the store in the banner. */
  readonly store?: string;
  /** Called once the worker takes jobs. If it rejects, the worker and the app are closed. */
  readonly onReady?: (worker: AppWorker) => void | Promise<void>;
}

/** Runs the worker until it is closed, then closes the app. Returns 1 only for `--until-empty` with failed jobs. */
export async function runWorker({
  loaded,
  flags,
  out,
  log,
  store,
  onReady,
}: RunWorkerOptions): Promise<ExitCode> {
  const { app } = loaded;
  const description = app.describe();
  loadTypeScriptInChildren(description);
  const worker = app.worker(workerOptions(flags));
  activityOf(app).onActivity(log);
  if (isChildProcess(worker)) return runChildProcess(worker);
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
  const ended = worker.closed.then((reason) => logEnd(log, worker, reason, performance.now() - startedAt));
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
    try {
      await onReady?.(worker);
    } catch (error) {
      await worker.close();
      await app.close();
      throw error;
    }
    if (flags.untilEmpty) await closeWhenEmpty(app, worker);
  }
  await ended;
  await app.close();
  return flags.untilEmpty && worker.counts.failed > 0 ? EXIT.failed : EXIT.ok;
}

/** Returns the internal side of an app. `coreOf` would reject an app that another copy of core made. */
function activityOf(app: App): Pick<ReturnType<typeof coreOf>, 'onActivity'> {
  return app as unknown as ReturnType<typeof coreOf>;
}

function shownConcurrency({ queues, concurrency }: WorkerFlags): (queue: string) => string {
  return (name) => {
    const limit = queues?.find(({ queue }) => queue === name)?.concurrency ?? concurrency ?? 10;
    return typeof limit === 'number' ? String(limit) : `${limit.min}..${limit.max}`;
  };
}

const REASON_TEXTS: Readonly<Record<CloseReason, string>> = {
  closed: 'closed',
  signal: 'closed after a signal',
  control: 'closed by a shutdown command',
  'max-jobs': 'closed: reached --max-jobs',
  'max-memory': 'closed: reached --max-memory',
};

function logEnd(log: WorkerLog, { counts }: AppWorker, reason: CloseReason, ms: number): void {
  const { completed, failed, retried } = counts;
  const words = `${counted(completed, 'attempt')} completed, ${failed} failed, ${retried} retried, in ${shortDuration(ms)}`;
  log.event('info', 'end', `${REASON_TEXTS[reason] ?? reason}; ${words}`, { reason, counts });
}
