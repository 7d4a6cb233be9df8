/** Values that were read from the store, where anybody may have written them. */

/**
 * Deeper ones are refused. What steps have put together is deeper than an input may be; what Node writes as JSON ends
 * not far above.
 */
const MAX_DEPTH = 2_000;

/**
 * Takes the keys `__proto__` out of a value that was parsed, at any depth: whoever copied it would give it a prototype.
 * Gives why the value cannot be used all the same, if it cannot. Level by level, and not by recursion: a stored text may
 * be nested as deep as it likes.
 */
export function sanitize(value: unknown, maxBytes = Number.POSITIVE_INFINITY): string | undefined {
  let bytes = sizeOf(value);
  let level: readonly object[] = isObject(value) ? [value] : [];
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH} levels`;
    const below: object[] = [];
    for (const holder of level) {
      const isArray = Array.isArray(holder);
      if (!isArray) Reflect.deleteProperty(holder, '__proto__');
      for (const key of isArray ? [] : Object.keys(holder)) bytes += key.length + 3;
      for (const item of isArray ? holder : Object.values(holder)) {
        bytes += sizeOf(item);
        if (isObject(item)) below.push(item);
      }
      if (bytes > maxBytes) return `it takes at least ${bytes} bytes as JSON, the limit is ${maxBytes}`;
    }
    level = below;
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
