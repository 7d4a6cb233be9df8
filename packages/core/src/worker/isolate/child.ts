/**
 * The program of a child process: `node child.js <URL of a module> <pid of the worker>`. It imports the module, which
 * defines tasks, and runs their handlers when the worker asks. It ends only with the worker.
 */
import { Worker } from 'node:worker_threads';
import { recordError, toError } from '../../codec/error-record.js';
import { ChildRun, type Send } from './child-run.js';
import { collectHandlers, type RunEnd, type RunRequest, type ToChild } from './messages.js';

const [module = '', parent = ''] = process.argv.slice(2);

// Send errors are ignored: the process notices the end of its worker otherwise.
const send: Send = (message) => void process.send?.(message, () => {});

process.on('disconnect', () => process.exit());
// A blocked main thread would not notice the disconnect.
const watch = new URL('./parent-watch.js', import.meta.url);
new Worker(watch, { workerData: Number(parent), execArgv: [] }).unref();
// Signals reach the whole process group, so the worker too, which may wait for its running jobs.
process.on('SIGINT', () => {}).on('SIGTERM', () => {});
process.on('uncaughtExceptionMonitor', (error) =>
  send({ kind: 'uncaught', error: recordError(toError(error)) }),
);

const handlers = collectHandlers();
const loading: Promise<{ error?: Error }> = import(module).then(
  () => ({}),
  (error: unknown) => ({ error: toError(error) }),
);
void loading.then(() => send({ kind: 'loaded' }));
let current: ChildRun | undefined;

process.on('message', (message: ToChild) => {
  void loading.then(({ error }) => {
    if (message.kind === 'run') start(message, error);
    else if (message.run === current?.number) current.receive(message);
  });
});

function start(request: RunRequest, loadError: Error | undefined): void {
  const task = handlers.find(request.app, request.task);
  if (loadError === undefined && task !== undefined) {
    current = new ChildRun(request, task, send);
    void current.execute();
  } else {
    const end = loadError === undefined ? undefinedTask(request) : unloadable(request, loadError);
    send({ ...end, run: request.run });
  }
}

function unloadable({ task }: RunRequest, error: Error): RunEnd {
  return {
    kind: 'unable',
    reason: `The module ${module} of task "${task}" cannot be loaded in a child process: ${error.message}`,
    cause: recordError(error),
  };
}

function undefinedTask({ app, task }: RunRequest): RunEnd {
  const known = handlers.names().join(', ') || 'none';
  return {
    kind: 'unable',
    reason: `The module ${module} does not define task "${task}" of app "${app}" (it defines: ${known}).`,
  };
}
