/**
 * Redirects the calls of one app to another. `@umbel/testing` uses it: code under test imports the real app, and a test
 * runs it against a test app.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Values of the current asynchronous context: the overrides by their originals, and what the test engine adds. One storage
 * for all, because each storage slows down every promise of the process.
 */
const contextValues = new AsyncLocalStorage<ReadonlyMap<object, object>>();
/** Open overrides of the whole process, the latest last. They apply where the context has none. */
const openOverrides: { original: object; override: object }[] = [];

/** Returns the override that receives the calls of `original` in the current context, or `original` if there is none. */
export function currentFunction<Instance extends object>(original: Instance): Instance {
  if (openOverrides.length === 0) return original;
  const inContext = contextValues.getStore()?.get(original);
  const found =
    openOverrides.find(({ override }) => override === inContext) ??
    openOverrides.findLast((entry) => entry.original === original);
  return (found?.override as Instance | undefined) ?? original; // an override has the class of its original
}

/** Runs `fn` with a value under `key` in its asynchronous context. */
export function runWithTestValue<T>(key: object, value: object, fn: () => T): T {
  return contextValues.run(new Map(contextValues.getStore()).set(key, value), fn);
}

/** Returns the value under `key` in the current asynchronous context. */
export function testValue(key: object): object | undefined {
  return contextValues.getStore()?.get(key);
}

/** Redirects the calls of `original` to `override` until the returned handle is closed. */
export function testOverrideFor(original: object, override: object) {
  const entry = { original, override };
  const context = (): ReadonlyMap<object, object> => {
    const current = contextValues.getStore();
    // Every attempt of a test's worker calls this, and most run in the right context already.
    return current?.get(original) === override
      ? current
      : new Map([...(current ?? []), [original, override]]);
  };
  openOverrides.push(entry);
  return {
    /** Runs `fn` with this override, even if a later override is open. */
    run: <T>(fn: () => T): T => contextValues.run(context(), fn),
    /** Applies this override to the rest of the current asynchronous context. */
    enter: (): void => contextValues.enterWith(context()),
    close: (): void => {
      const index = openOverrides.indexOf(entry);
      if (index >= 0) openOverrides.splice(index, 1);
    },
  };
}

/**
 * Receives Umbel's log messages. `console`, pino and most other loggers fit.
 * @example
 * const app = createApp({ name: 'shop', logger: pino() });
 */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
