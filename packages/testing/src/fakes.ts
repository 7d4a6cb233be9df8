/** Fakes that replace the handlers of tasks in a test. */

import type { AnyTask, ReceivedBy, ReturnedBy, TaskContext } from '@umbel/core';

/** Behaviour of a fake handler: a function, a value, an error to throw, or a sequence of these. */
export type Behaviour<Task> =
  | ((input: ReceivedBy<Task>, ctx: TaskContext) => ReturnedBy<Task> | Promise<ReturnedBy<Task>>)
  | Sequence<ReturnedBy<Task>>
  | Error
  | Exclude<ReturnedBy<Task>, (...args: never[]) => unknown>;

/** A fake handler, with its calls. */
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
