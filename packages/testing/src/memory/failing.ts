/** Injects errors into the commands of a backend, for `failStore` of a test app. */

import type { BackendFactory, IQueueBackend } from 'bullmq';

/** A method of BullMQ's backend contract. */
export type BackendCommand = keyof IQueueBackend & string;

/** Wraps backends so that a command rejects with the error that `errorOf` returns for it, if any. */
export function failing(
  factory: BackendFactory,
  errorOf: (command: string) => Error | undefined,
): BackendFactory {
  const wrap = (backend: IQueueBackend): IQueueBackend => {
    // Functions that callers set on the backend replace commands, and must receive their errors.
    const replaced = new Map<string | symbol, unknown>();
    return new Proxy(backend, {
      set(_target, property, value) {
        replaced.set(property, value);
        return true;
      },
      get(target, property) {
        if (replaced.has(property)) return replaced.get(property);
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const error = typeof property === 'string' ? errorOf(property) : undefined;
          if (error !== undefined) return Promise.reject(error);
          const result: unknown = Reflect.apply(value, target, args);
          return property === 'forQueue' ? wrap(result as IQueueBackend) : result;
        };
      },
    });
  };
  return (...args) => wrap(factory(...args));
}
