/** Injects errors into the commands of a backend, for `failStore` of a test app. */

import type { BackendFactory, IQueueBackend } from 'bullmq';

/** A method of BullMQ's backend contract. */
export type BackendCommand = keyof IQueueBackend & string;

/** Returns the error that the next command of this name rejects with, if any. */
type ErrorOf = (command: string) => Error | undefined;

/** Wraps backends so that a command rejects with the error that `errorOf` returns for it, if any. */
export function failing(factory: BackendFactory, errorOf: ErrorOf): BackendFactory {
  return (...args) => wrap(factory(...args), errorOf);
}

/** The state of a wrapped backend. */
interface Wrapped {
  readonly [TARGET]: IQueueBackend;
  readonly [ERROR_OF]: ErrorOf;
}

const TARGET: unique symbol = Symbol('target');
const ERROR_OF: unique symbol = Symbol('errorOf');

/** The prototypes of wrapped backends, by the prototype of the backend: each is made once. */
const wrappers = new Map<object, object>();

/**
 * Returns an object with all members of a backend. Functions that callers set on it replace commands, and receive their
 * errors. A Proxy would do the same, but every access of every command would cost more than most commands.
 */
function wrap(target: IQueueBackend, errorOf: ErrorOf): IQueueBackend {
  const prototype: object = Object.getPrototypeOf(target);
  let wrapper = wrappers.get(prototype);
  if (wrapper === undefined) {
    wrapper = wrapperOf(target);
    wrappers.set(prototype, wrapper);
  }
  const wrapped = Object.create(wrapper) as IQueueBackend; // `wrapperOf` has its members
  return Object.assign(wrapped, { [TARGET]: target, [ERROR_OF]: errorOf } satisfies Wrapped);
}

function wrapperOf(backend: IQueueBackend): object {
  const wrapper = {};
  for (let level: object = backend; ; ) {
    const next: object | null = Object.getPrototypeOf(level);
    if (next === null) break; // the Object.prototype, of which a test runner with its own globals has several
    for (const key of Reflect.ownKeys(level)) {
      if (key === 'constructor' || Object.hasOwn(wrapper, key)) continue;
      const value: unknown = Reflect.getOwnPropertyDescriptor(level, key)?.value;
      Object.defineProperty(
        wrapper,
        key,
        typeof value === 'function'
          ? { value: commandOf(key), writable: true, configurable: true }
          : { get: readerOf(key), configurable: true },
      );
    }
    level = next;
  }
  return wrapper;
}

function commandOf(key: string | symbol) {
  return function command(this: Wrapped, ...args: unknown[]): unknown {
    const target = this[TARGET];
    const errorOf = this[ERROR_OF];
    const error = typeof key === 'string' ? errorOf(key) : undefined;
    if (error !== undefined) return Promise.reject(error);
    const method = Reflect.get(target, key) as (...given: unknown[]) => unknown; // `wrapperOf` saw that it is a function
    const result = method.apply(target, args);
    return key === 'forQueue' ? wrap(result as IQueueBackend, errorOf) : result;
  };
}

function readerOf(key: string | symbol) {
  return function read(this: Wrapped): unknown {
    return Reflect.get(this[TARGET], key);
  };
}
