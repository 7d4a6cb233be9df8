/**
 * Whether a call comes from inside a task's handler. It is read from the stack, which V8 continues over every `await`:
 * context that follows asynchronous calls (AsyncLocalStorage) costs a busy worker as much as its jobs. A caller that
 * leaves the chain of awaits, such as a timer, is not recognised.
 *
 * @see https://v8.dev/docs/stack-trace-api#async-stack-traces
 */

/**
 * The name of the method that calls handlers, and awaits them: it stands in stack traces. As the name of a property it
 * stays what it is when the code is minified.
 */
export const HANDLER_FRAME = 'umbel handler';

/** More than handlers have between themselves and what they call. */
const DEPTH = 100;

/** Handlers that run in this process. */
let running = 0;

/** A handler is about to be called. */
export function handlerBegins(): void {
  running += 1;
}

/** What it has given, or thrown, is there. */
export function handlerEnded(): void {
  running -= 1;
}

/** To be called before anything is awaited. */
export function isInHandler(): boolean {
  if (running === 0) return false; // to read a stack takes as long as to send a call
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  const { stack } = new Error('where am I?');
  Error.stackTraceLimit = stackTraceLimit;
  return stack?.includes(HANDLER_FRAME) ?? false;
}
