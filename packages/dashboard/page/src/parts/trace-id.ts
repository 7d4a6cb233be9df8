/** Reads the trace of a job from its header, as the W3C recommendation Trace Context writes it. */

const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;
const NONE = '0'.repeat(32);

/** Returns the id of the trace; undefined if the job has none. */
export function traceIdOf({ traceparent = '' }: Readonly<Record<string, string>>): string | undefined {
  const id = TRACEPARENT.exec(traceparent)?.[1];
  return id === NONE ? undefined : id;
}
