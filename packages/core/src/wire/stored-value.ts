/** Values that were read from the store, where anybody may have written them. */

/**
 * Deeper ones are refused. What steps have put together is deeper than an input may be; what Node writes as JSON ends
 * not far above.
 */
const MAX_DEPTH = 2_000;

const NOTHING: readonly object[] = [];

/**
 * Takes the keys `__proto__` out of a value that was parsed, at any depth: whoever copied it would give it a prototype.
 * Gives why the value cannot be used all the same, if it cannot. Level by level, and not by recursion: a stored text may
 * be nested as deep as it likes.
 */
export function sanitize(value: unknown, maxBytes = Number.POSITIVE_INFINITY): string | undefined {
  let bytes = sizeOf(value);
  let level: readonly object[] = isObject(value) ? [value] : NOTHING;
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH} levels`;
    let below: object[] | undefined;
    for (const holder of level) {
      let items: readonly unknown[];
      if (Array.isArray(holder)) {
        items = holder;
      } else {
        if (Object.hasOwn(holder, '__proto__')) Reflect.deleteProperty(holder, '__proto__');
        for (const key of Object.keys(holder)) bytes += key.length + 3;
        items = Object.values(holder);
      }
      for (const item of items) {
        bytes += sizeOf(item);
        if (!isObject(item)) continue;
        if (below === undefined) below = [item];
        else below.push(item);
      }
      if (bytes > maxBytes) return `it takes at least ${bytes} bytes as JSON, the limit is ${maxBytes}`;
    }
    level = below ?? NOTHING;
  }
  return bytes > maxBytes ? `it takes at least ${bytes} bytes as JSON, the limit is ${maxBytes}` : undefined;
}

/** The bytes that a value takes at least, without what is in it. */
function sizeOf(value: unknown): number {
  return typeof value === 'string' ? value.length + 2 : 1;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
