import { EXIT, StoppedError, type StopSignal } from './errors.js';

/** Aborted, with a `StoppedError`, by the first Ctrl-C or SIGTERM. The second one ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (signal: StopSignal) => {
    if (controller.signal.aborted) process.exit(EXIT[signal]);
    controller.abort(new StoppedError(signal));
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return controller.signal;
}

/** The promise, or a rejection with the signal's reason once it is aborted. */
export async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Ends the process, with the exit code it has by then, should something keep it alive for longer than this. */
export function exitWithin(ms: number): void {
  setTimeout(() => process.exit(), ms).unref();
}
