/**
 * Runs the handler of an isolated task in a child process: the worker's side. `HandlerRunner` calls it; `child-run.ts` is
 * the other side.
 */

import type { ErrorRecord } from '../../base/errors.js';
import { ChildProcessError } from '../../base/failures.js';
import { clearTimeout, setTimeout } from '../../base/real-timers.js';
import { systemClock } from '../../base/time.js';
import { rebuildError } from '../../codec/error-record.js';
import { jsonIssues } from '../../codec/json.js';
import type { TaskContext } from '../../task/context.js';
import type { TaskEntry } from '../../task/definition.js';
import type { Attempt } from '../attempt.js';
import {
  type ContextData,
  type RunEnd,
  type RunReport,
  type RunRequest,
  rebuildThrown,
  recordThrown,
} from './messages.js';
import type { ChildExit, ChildHandle, ChildPool } from './pool.js';

export interface IsolatedCall {
  /** Name of the app. */
  readonly app: string;
  readonly task: TaskEntry & Required<Pick<TaskEntry, 'isolate'>>;
  readonly attempt: Attempt;
  /** The input before the task's schema decoded it. */
  readonly input: unknown;
}

/**
 * Returns the handler's result. Kills the child when the attempt is aborted.
 * @throws the handler's error, rebuilt.
 * @throws {ChildProcessError} if the child cannot run the handler, or ends before it.
 */
export async function runIsolated(children: ChildPool, call: IsolatedCall): Promise<unknown> {
  const { signal } = call.attempt.job;
  signal.throwIfAborted();
  const child = children.take(call.task.isolate, call.task.name);
  try {
    return await runInChild(child, call, children.loadMs);
  } finally {
    children.release(child);
  }
}

function runInChild(child: ChildHandle, call: IsolatedCall, loadMs: number): Promise<unknown> {
  const { job } = call.attempt;
  return new Promise((resolve, reject) => {
    const load = child.isLoaded
      ? undefined
      : startLoading(call, loadMs, () => {
          child.kill(run);
          end(() => reject(unloaded(call, loadMs)));
        });
    const giveUp = (reason: Error) => {
      child.kill(run);
      end(() => reject(reason));
    };
    const end = (settle: () => void) => {
      job.offGiveUp(giveUp);
      load?.end();
      settle();
    };
    const run = child.begin({
      loaded: () => load?.end(),
      message(message) {
        switch (message.kind) {
          case 'result':
            return end(() => resolve(message.value));
          case 'thrown':
            return end(() => reject(rebuildThrown(message.thrown)));
          case 'unable':
            child.kill(run);
            return end(() => reject(unable(message)));
          default:
            return forwardReport(message, call, child, run);
        }
      },
      exit: (exit) => end(() => reject(crashed(exit, child, call))),
    });
    job.onGiveUp(giveUp);
    child.send(orderOf(run, call));
  });
}

/** Pauses the attempt's timeout until the child has loaded its module, with a separate limit for loading. */
function startLoading({ attempt }: IsolatedCall, loadMs: number, onTimeout: () => void): { end(): void } {
  let end = () => {};
  const loaded = new Promise<void>((resolve) => {
    end = resolve;
  });
  const timer = setTimeout(onTimeout, loadMs);
  void attempt.withoutLimit(loaded);
  return {
    end() {
      clearTimeout(timer);
      end();
    },
  };
}

/** Passes a report of the handler to the attempt. */
function forwardReport(report: RunReport, { attempt }: IsolatedCall, child: ChildHandle, run: number): void {
  const { reports } = attempt;
  if (report.kind === 'log') {
    attempt.context.log[report.level](report.text);
    return;
  }
  const answer = { kind: 'reported', run, report: report.report } as const;
  const stored = report.kind === 'progress' ? reports.progress(report.value) : reports.state(report.state);
  stored.then(
    () => child.send(answer),
    (error: unknown) => child.send({ ...answer, error: recordThrown(error) }),
  );
}

function orderOf(run: number, { app, task, attempt, input }: IsolatedCall): RunRequest {
  const { context } = attempt;
  const aheadMs = systemClock.now() - context.now();
  const call = { app, task: task.name, input, context: dataOf(context), aheadMs };
  return { kind: 'run', run, ...call, ...middlewareAdditions(context) };
}

function dataOf(context: TaskContext): ContextData {
  const { id, name, queue, attempt, runId, rootId, parentId, enqueuedAt, idempotencyKey, headers, tags } =
    context;
  return {
    ...{ id, name, queue, attempt, rootId, enqueuedAt, idempotencyKey, headers, tags },
    ...(runId !== undefined && { runId }),
    ...(parentId !== undefined && { parentId }),
  };
}

const CONTEXT_KEYS: ReadonlySet<string> = new Set(
  Object.keys({
    id: true,
    name: true,
    queue: true,
    attempt: true,
    runId: true,
    rootId: true,
    parentId: true,
    enqueuedAt: true,
    idempotencyKey: true,
    headers: true,
    signal: true,
    log: true,
    now: true,
    sleep: true,
    progress: true,
    setState: true,
    tags: true,
    stop: true,
    replace: true,
    addToGroup: true,
    fail: true,
    retry: true,
    reject: true,
  } satisfies Record<keyof TaskContext, true>),
);

/** Returns what middleware added. Values that JSON cannot carry, such as clients, would lose their methods. */
function middlewareAdditions(context: TaskContext): Pick<RunRequest, 'added' | 'withheld'> {
  const others = Object.entries(context).filter(([key]) => !CONTEXT_KEYS.has(key));
  const isPlain = ([key, value]: [string, unknown]) => jsonIssues(value, key).length === 0;
  return {
    added: Object.fromEntries(others.filter(isPlain)),
    withheld: others.filter((entry) => !isPlain(entry)).map(([key]) => key),
  };
}

function unloaded({ task }: IsolatedCall, loadMs: number): ChildProcessError {
  return new ChildProcessError(
    `The child process of task "${task.name}" has not loaded ${task.isolate} within ${loadMs / 1000} s. This module should ` +
      'only define tasks and import what their handlers need.',
  );
}

function unable({ reason, cause }: RunEnd & { kind: 'unable' }): ChildProcessError {
  return new ChildProcessError(reason, causedBy(cause));
}

function crashed({ code, signal, cause }: ChildExit, { pid }: ChildHandle, call: IsolatedCall): Error {
  const { task, attempt } = call;
  const options = causedBy(cause);
  if (pid === undefined) {
    return new ChildProcessError(`Could not start a child process for task "${task.name}".`, options);
  }
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const why = cause === undefined ? '' : `, after an uncaught error: ${cause.message}`;
  return new ChildProcessError(
    `The child process of task "${task.name}" ended before its handler did (${how}; pid ${pid}, attempt ${attempt.job.attempt})${why}`,
    options,
  );
}

function causedBy(cause: Error | ErrorRecord | undefined): ErrorOptions {
  if (cause === undefined) return {};
  return { cause: cause instanceof Error ? cause : rebuildError(cause) };
}
