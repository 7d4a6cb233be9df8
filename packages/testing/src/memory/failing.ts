import type { BackendFactory, IQueueBackend } from 'bullmq';

/** A method of BullMQ's backend contract. */
export type BackendCommand = keyof IQueueBackend & string;

/** Backends whose commands are rejected with what `errorOf` gives for them, if it gives anything. */
export function failing(
  factory: BackendFactory,
  errorOf: (command: string) => Error | undefined,
): BackendFactory {
  const over = (backend: IQueueBackend): IQueueBackend => {
    // What is put round a command from outside sees its errors.
    const outside = new Map<string | symbol, unknown>();
    return new Proxy(backend, {
      set(_target, property, value) {
        outside.set(property, value);
        return true;
      },
      get(target, property) {
        if (outside.has(property)) return outside.get(property);
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const error = typeof property === 'string' ? errorOf(property) : undefined;
          if (error !== undefined) return Promise.reject(error);
          const result: unknown = Reflect.apply(value, target, args);
          return property === 'forQueue' ? over(result as IQueueBackend) : result;
        };
      },
    });
  };
  return (...args) => over(factory(...args));
}
