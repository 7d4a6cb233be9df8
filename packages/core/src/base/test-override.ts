/** Lets an app take the calls of another: a test's copy those of the app that the code under test imports. */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Apps that stand in for others, within an asynchronous context. */
const standIns = new AsyncLocalStorage<ReadonlyMap<object, object>>();
/** Where the context does not say: the stand-ins of the whole process, the latest last. */
const open: { original: object; standIn: object }[] = [];

/** What calls of `original` go to here and now: its stand-in if there is one, else itself. */
export function currentFunction<Instance extends object>(original: Instance): Instance {
  if (open.length === 0) return original;
  const inContext = standIns.getStore()?.get(original);
  const found =
    open.find(({ standIn }) => standIn === inContext) ??
    open.findLast((entry) => entry.original === original);
  return (found?.standIn as Instance | undefined) ?? original; // stand-ins are of their original's class
}

/** Lets `standIn` take the calls of `original` until it is closed. */
export function testOverrideFor(original: object, standIn: object) {
  const entry = { original, standIn };
  const context = (): ReadonlyMap<object, object> => {
    const here = standIns.getStore();
    // Each attempt of a test's worker comes by, and the worker is in the context already.
    return here?.get(original) === standIn ? here : new Map([...(here ?? []), [original, standIn]]);
  };
  open.push(entry);
  return {
    /** Runs `fn` with the stand-in, whatever others are open. */
    run: <T>(fn: () => T): T => standIns.run(context(), fn),
    /** The same for all that follows in the present asynchronous context. */
    enter: (): void => standIns.enterWith(context()),
    close: (): void => {
      const index = open.indexOf(entry);
      if (index >= 0) open.splice(index, 1);
    },
  };
}

/** What Umbel writes to: `console`, pino and most loggers fit. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
