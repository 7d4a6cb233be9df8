/** Fakes that replace the handlers of tasks in a test, and faults that a test injects. */

import type { AnyTask, ReceivedBy, ReturnedBy, TaskContext } from '@umbel/core';
import { checkOptions, type OptionNames } from '@umbel/core/internal';
import type { BackendCommand } from './memory/failing.js';

/** Behaviour of a fake handler: a function, a value, an error to throw, or a sequence of these. */
export type Behaviour<Task> =
  | ((input: ReceivedBy<Task>, ctx: TaskContext) => ReturnedBy<Task> | Promise<ReturnedBy<Task>>)
  | Sequence<ReturnedBy<Task>>
  | Error
  | Exclude<ReturnedBy<Task>, (...args: never[]) => unknown>;

/**
 * A fake handler, with its calls.
 * @example
 * const mails = t.fake(sendMail, null);
 * await t.run(sendMail.s(mail));
 * expect(mails.calls).toEqual([mail]);
 */
export interface Fake<Task> {
  /** Inputs so far as the handler would receive them, in order, one for each attempt. */
  readonly calls: readonly ReceivedBy<Task>[];
  /** Restores the original handler of the task. */
  restore(): void;
}

const SEQUENCE: unique symbol = Symbol('sequence');

/** A list of behaviours, created by `sequence`. */
export interface Sequence<out Value> {
  readonly [SEQUENCE]: readonly (Value | Error)[];
}

/**
 * Returns a behaviour for the first attempt, the second, and so on; the last one repeats. Errors are thrown.
 * @example
 * const behaviour = sequence(new Error('timeout'), { file: 'a.png' }); // t.fake(resize, behaviour)
 */
export function sequence<const Value>(...steps: readonly (Value | Error)[]): Sequence<Value> {
  return { [SEQUENCE]: steps };
}

export type Handler = (input: unknown, ctx: TaskContext) => unknown;

/** Fakes by task name. */
export class Fakes {
  readonly #fakes = new Map<string, Handler>();
  #others: { handler: Handler; except: ReadonlySet<string> } | undefined;

  set<Task extends AnyTask>(task: Task, behaviour: Behaviour<Task>): Fake<Task> {
    const calls: ReceivedBy<Task>[] = [];
    const answer = handlerFrom(behaviour);
    const handler: Handler = (input, ctx) => {
      calls.push(input as ReceivedBy<Task>); // the input that the handler would receive
      return answer(input, ctx);
    };
    this.#fakes.set(task.name, handler);
    return {
      calls,
      restore: () => {
        if (this.#fakes.get(task.name) === handler) this.#fakes.delete(task.name);
      },
    };
  }

  /** Sets the handler of all tasks without a fake, except those in `except`. */
  setOthers(handler: Handler, except: readonly AnyTask[]): void {
    this.#others = { handler, except: new Set(except.map((task) => task.name)) };
  }

  handlerOf(task: string): Handler | undefined {
    const others = this.#others;
    return this.#fakes.get(task) ?? (others && !others.except.has(task) ? others.handler : undefined);
  }
}

function handlerFrom(behaviour: unknown): Handler {
  if (typeof behaviour === 'function') return behaviour as Handler;
  const steps = isSequence(behaviour) ? behaviour[SEQUENCE] : [behaviour];
  let next = 0;
  return () => {
    const step = steps[Math.min(next, steps.length - 1)];
    next += 1;
    if (step instanceof Error) throw step;
    return step;
  };
}

function isSequence(value: unknown): value is Sequence<unknown> {
  return typeof value === 'object' && value !== null && SEQUENCE in value;
}

// Faults: worker crashes, lost locks and store errors. Each is armed once and then strikes.

/** Options of `crashWorker`. */
export interface CrashOptions {
  /** Where in an attempt the worker crashes. */
  at: 'before-handler' | 'after-handler';
  /** Task whose attempt crashes the worker. Default: any. */
  task?: AnyTask | undefined;
  /** Number of crashes. Default 1. */
  times?: number | undefined;
}

/** Options of `loseLock`. */
export interface LostLockOptions {
  /** Task whose attempt loses its lock. Default: any. */
  task?: AnyTask | undefined;
  /** Number of lost locks. Default 1. */
  times?: number | undefined;
}

/** Options of `failStore`. */
export interface StoreErrorOptions {
  /** Method of BullMQ's backend: `addJob`, `addFlow`, `getJobData` …. */
  command: BackendCommand;
  /** Error of the command. Default: an `Error` that names the command. */
  error?: Error | undefined;
  /** Number of failing commands. Default 1. */
  times?: number | undefined;
}

const CRASH: OptionNames<CrashOptions> = { at: true, task: true, times: true };
const LOST_LOCK: OptionNames<LostLockOptions> = { task: true, times: true };
const STORE_ERROR: OptionNames<StoreErrorOptions> = { command: true, error: true, times: true };

interface Armed {
  readonly kind: 'before-handler' | 'after-handler' | 'lost-lock';
  readonly task: string | undefined;
  remaining: number;
}

/** The armed faults. */
export class Faults {
  readonly #armed: Armed[] = [];
  readonly #storeErrors: { command: string; error: Error; remaining: number }[] = [];

  armCrash(options: CrashOptions): void {
    const { at, task, times = 1 } = checkOptions(options, CRASH);
    this.#armed.push({ kind: at, task: task?.name, remaining: times });
  }

  armLostLock(options: LostLockOptions): void {
    const { task, times = 1 } = checkOptions(options, LOST_LOCK);
    this.#armed.push({ kind: 'lost-lock', task: task?.name, remaining: times });
  }

  armStoreError(options: StoreErrorOptions): void {
    const {
      command,
      error = new Error(`${options.command} failed`),
      times = 1,
    } = checkOptions(options, STORE_ERROR);
    this.#storeErrors.push({ command, error, remaining: times });
  }

  /** Whether a fault strikes here. It counts as used then. */
  strikes(kind: Armed['kind'], task: string): boolean {
    const fault = this.#armed.find(
      (armed) =>
        armed.kind === kind && armed.remaining > 0 && (armed.task === undefined || armed.task === task),
    );
    if (fault === undefined) return false;
    fault.remaining -= 1;
    return true;
  }

  /** Returns the error that a store command fails with, if any. It counts as used then. */
  storeError(command: string): Error | undefined {
    const fault = this.#storeErrors.find((armed) => armed.command === command && armed.remaining > 0);
    if (fault === undefined) return undefined;
    fault.remaining -= 1;
    return fault.error;
  }
}
