/** Formats values and names for messages, and escapes stored text. */

/** Returns true for objects made by a literal, `Object.create(null)` or `JSON.parse`. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

/** Returns the value under a key of a plain object; undefined for other values, and for keys that it does not have itself. */
export function valueUnder(value: unknown, key: string): unknown {
  return isPlainObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/**
 * Returns the kind of a value for a message, without its content: `'null'`, `'a string'`, `'an array'`, `'an object'`, or
 * `'an object (Map)'` for an instance of a class.
 */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date' : 'a Date';
  if (value instanceof Promise) return 'a promise';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return isPlainObject(value) ? 'an object' : `an object (${value.constructor?.name ?? 'without a class'})`;
}

/** Returns a short form of a value for a message: quoted text, a number, or its kind, such as `an array`. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (value === null || ['number', 'boolean', 'undefined', 'bigint'].includes(typeof value))
    return String(value);
  if (value instanceof Promise) return 'a Promise: is an `await` missing?';
  return kindOf(value);
}

/** Returns quoted names for a message: at most 20, then the number of the others. */
export function listed(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const shown = names.slice(0, MAX_LISTED).map((name) => `"${name}"`);
  const more = names.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const MAX_LISTED = 20;

/** Returns the most similar of `names`, if it differs from `name` in at most two letters (one in a short name). */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  const maxDistance = name.length < 4 ? 1 : 2;
  let found: { name: string; distance: number } | undefined;
  for (const candidate of names) {
    if (Math.abs(candidate.length - name.length) > maxDistance) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance <= maxDistance && distance < (found?.distance ?? Number.POSITIVE_INFINITY))
      found = { name: candidate, distance };
  }
  return found?.name;
}

/** Returns the number of letters to add, remove, replace, or swap with the next, to turn one text into the other. */
function editDistance(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let row = 1; row <= one.length; row += 1) {
    const next = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const isSame = one[row - 1] === other[column - 1];
      const isSwapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      next.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (next[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (isSame ? 0 : 1),
          isSwapped ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    before = last;
    last = next;
  }
  return last[other.length] ?? 0;
}

// Escapes for stored text, which anybody may have written: a control character could drive the terminal or forge a log line.

/**
 * C0 and C1 controls, line and paragraph separators, and marks that change the direction of text.
 * `packages/cli/src/output.ts` repeats this list, because the CLI loads no code of this package.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are to be matched
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Returns the text on one line, with every control character escaped: `\n`, `\u001b`. */
export function escaped(text: string): string {
  return text.replace(CONTROLS, (character) => SHORT[character] ?? codeOf(character));
}

/** Escapes control characters as `escaped` does, but keeps line feeds and tabs. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (character) =>
    character === '\n' || character === '\t' ? character : (SHORT[character] ?? codeOf(character)),
  );
}

function codeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
