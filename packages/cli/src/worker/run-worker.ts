/** A worker from its banner to its exit code. */
import type { App, AppDescription, AppWorker, CloseReason } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import type { LoadedApp } from '../app-loader.js';
import { EXIT, type ExitCode, umbelCode } from '../errors.js';
import { type Colors, cleanLine, counted, type Output, shortDuration } from '../output.js';
import { ownVersion } from '../start.js';
import { isOneOfSeveral, runAsOneOfSeveral, type WorkerFlags, workerOptions } from './flags.js';
import type { WorkerLog } from './log.js';

// What a worker shows of itself as it starts.

export interface BannerFacts {
  readonly app: AppDescription;
  readonly worker: string;
  readonly queues: readonly string[];
  readonly concurrency: (queue: string) => string;
  /** Instead of its address. */
  readonly store?: string;
}

const MOST_TASKS = 30;

export function banner(
  { app, worker, queues, concurrency, store }: BannerFacts,
  { bold, dim, cyan, yellow }: Colors,
): string {
  const row = (name: string, value: string) => `  ${dim(name.padEnd(8))} ${cleanLine(value)}`;
  const own = app.tasks.filter(({ hasHandler }) => hasHandler);
  const width = Math.max(0, ...own.slice(0, MOST_TASKS).map(({ name }) => name.length));
  const tasks = own.slice(0, MOST_TASKS).map(({ name, queue, isolate }) => {
    const note = queues.includes(queue) ? '' : yellow('  not served here');
    const apart = isolate === undefined ? '' : dim('  isolated');
    return `    ${cyan(cleanLine(name).padEnd(width))}  ${dim(cleanLine(queue))}${apart}${note}`;
  });
  const more = own.length > MOST_TASKS ? [dim(`    and ${own.length - MOST_TASKS} more`)] : [];
  return [
    `${bold('umbel')} ${dim(ownVersion())}`,
    row('app', app.name),
    row('store', store ?? app.store.address),
    row('worker', worker),
    row('queues', queues.map((queue) => `${queue} (${concurrency(queue)})`).join(', ') || 'none'),
    `  ${dim('tasks'.padEnd(8))} ${counted(own.length, 'task')}`,
    ...tasks,
    ...more,
    '',
  ].join('\n');
}

// Isolated tasks in TypeScript: the child processes that run them have to load their modules as this one does.

/** Lets child processes of this one, which take over its `execArgv`, load TypeScript. */
export function loadTypeScriptInChildren({ tasks }: AppDescription, execArgv = process.execArgv): void {
  const needsIt = tasks.some(({ isolate }) => isolate !== undefined && /\.[cm]?tsx?$/.test(isolate));
  if (!needsIt) return;
  const loader = new URL('./typescript-register.js', import.meta.url).href;
  if (!execArgv.includes(loader)) execArgv.push('--import', loader);
}

// Ends a worker once its queues hold nothing to do.

/** Umbel's own jobs between tasks, which may add some to any queue. */
const INTERNAL_QUEUE = 'umbel';
const PAUSE_MS = 200;

/**
 * Closes the worker once nothing runs, waits or is delayed in its queues, retries and later steps of compositions
 * included. Looks twice, with no attempt in between: a job may go from one queue to another while they are counted.
 */
export async function closeWhenEmpty(app: App, worker: AppWorker): Promise<void> {
  try {
    let emptyAt: number | undefined;
    while (worker.state === 'running') {
      const ended = endedOf(worker);
      const isEmpty = worker.active.length === 0 && (await areEmpty(app, worker.queues).catch(ifAway));
      if (isEmpty && emptyAt === ended && endedOf(worker) === ended && worker.active.length === 0) break;
      emptyAt = isEmpty ? ended : undefined;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } finally {
    await worker.close();
  }
}

/** A store that does not answer now may hold jobs. */
function ifAway(error: unknown): false {
  if (umbelCode(error) === 'CONNECTION') return false;
  throw error;
}

function endedOf({ counts }: AppWorker): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

async function areEmpty(app: App, queues: readonly string[]): Promise<boolean> {
  const between = async () => {
    const { waiting, active } = await app.queue(INTERNAL_QUEUE).counts();
    return waiting + active;
  };
  if ((await between()) > 0) return false;
  for (const queue of queues) {
    const counts = await app.queue(queue).counts();
    if (counts.waiting + counts.active + counts.delayed + counts['waiting-children'] > 0) return false;
  }
  return (await between()) === 0;
}

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
