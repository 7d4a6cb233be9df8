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
      const isList = Array.isArray(holder);
      if (!isList && Object.hasOwn(holder, '__proto__')) Reflect.deleteProperty(holder, '__proto__');
      const keys = isList ? undefined : Object.keys(holder);
      const count = keys === undefined ? (holder as readonly unknown[]).length : keys.length;
      for (let at = 0; at < count; at += 1) {
        const key = keys?.[at];
        if (key !== undefined) bytes += key.length + 3;
        const item = (holder as Readonly<Record<string | number, unknown>>)[key ?? at]; // a list, or an object with these keys
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
