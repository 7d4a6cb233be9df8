/** Hides sensitive values in what people read: logs, progress and errors. */
import { inspect } from 'node:util';
import type { ErrorRecord } from '../base/errors.js';
import { escaped, isPlainObject, printable } from '../base/text.js';
import { CUT } from './error-fields.js';

// How a secret looks in text that was made of it: within JSON, as `util.inspect` and `console.log` show it, in an address.
// `masking.ts` hides them all. What a handler encodes otherwise, such as base64, is not recognised.

/** All renderings of such a secret are the secret itself. */
const PLAIN = /^[A-Za-z0-9_.-]*$/;

/** Of longer ones, only what is usual is made: each rendering is searched for in each text. */
const LONGEST = 100_000;

/** A piece of a secret that is worth hiding by itself: a shorter one is too common. */
const SHORTEST_PIECE = 8;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const INSPECTED = /[\\\u0000-\u001f\u007f-\u009f]/g;

/** The secret as it is, and as others show it; each once. Their number does not grow with the secret. */
export function renderingsOf(secret: string): ReadonlySet<string> {
  const shown = new Set([secret]);
  if (PLAIN.test(secret)) return shown;
  const json = inJson(secret);
  shown.add(json);
  addInspected(shown, secret);
  if (secret.length > LONGEST) return shown;
  // JSON in a value of JSON, or in an object that is logged.
  shown.add(inJson(json));
  addInspected(shown, json);
  shown.add(escaped(secret)).add(printable(secret));
  addEncoded(shown, secret);
  addEncoded(shown, json);
  return shown;
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** In any of the three quotes that `util.inspect` chooses from: by the rest of the text, too. */
function addInspected(shown: Set<string>, secret: string): void {
  const whole = inspected(secret);
  shown.add(whole).add(whole.replaceAll("'", "\\'"));
  // A long text of several lines, within an object, is shown line by line.
  const lines = secret.split('\n', MOST_LINES);
  if (lines.length === 1) return;
  for (const [index, line] of lines.entries()) {
    if (line.length < SHORTEST_PIECE) continue;
    const end = index < lines.length - 1 ? '\\n' : '';
    const text = inspected(line);
    shown.add(`${text}${end}`);
    shown.add(`${text.replaceAll("'", "\\'")}${end}`);
  }
}

/** Of a secret; more than a private key has. */
const MOST_LINES = 200;

/** As the quotes of a literal hold it, but for the quotes themselves. */
function inspected(text: string): string {
  return text.replace(INSPECTED, (character) => inspect(character).slice(1, -1));
}

/** As the parts of an address. */
function addEncoded(shown: Set<string>, secret: string): void {
  let component: string;
  try {
    component = encodeURIComponent(secret);
  } catch {
    return; // half a character: nothing else encodes it either
  }
  const strict = component.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  const url = new URL('http://host');
  url.password = secret;
  shown.add(url.password);
  url.pathname = `/${secret}`;
  shown.add(url.pathname.slice(1));
  url.search = secret;
  shown.add(url.search.slice(1));
  for (const text of [
    component,
    strict,
    encodeURI(secret),
    new URLSearchParams([['', secret]]).toString().slice(1),
  ]) {
    shown.add(text);
    shown.add(text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()));
  }
}

/** A text that is cut, also with the end of its colour. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a colour ends with
const CUTS = /['"`](?:\u001b\[\d+m)?\.\.\. \d+ more characters?/g;
/** Cuts that are looked at in one text. */
const MOST_CUTS = 100;
/** Fewer characters of a secret tell nothing. */
const PROBE = 4;

/** Where `util.inspect` has cut a long string within one of the secrets: from where to where its beginning stands. */
export function cutWithin(
  text: string,
  secrets: readonly string[],
): readonly { readonly start: number; readonly end: number }[] {
  const found: { start: number; end: number }[] = [];
  let looked = 0;
  for (const { index: end } of text.matchAll(CUTS)) {
    looked += 1;
    if (looked > MOST_CUTS) break;
    const start = secrets.map((secret) => startOf(text, end, secret)).find((at) => at !== undefined);
    if (start !== undefined) found.push({ start, end });
  }
  return found;
}

/** Where the beginning of a secret stands that goes on to `end`, and is not the whole of it. */
function startOf(text: string, end: number, secret: string): number | undefined {
  const probe = secret.slice(0, PROBE);
  let at = text.indexOf(probe, Math.max(0, end - secret.length + 1));
  while (at >= 0 && at + PROBE <= end) {
    if (secret.startsWith(text.slice(at, end))) return at;
    at = text.indexOf(probe, at + 1);
  }
  return undefined;
}

const HIDDEN = '***';
/** Shorter values would hide half of every text. */
const SHORTEST = 4;

/** Takes the secrets of one attempt out of values and texts. */
export interface Mask {
  text(text: string): string;
  value(value: unknown): unknown;
  error(error: ErrorRecord): ErrorRecord;
}

const identity = <T>(value: T): T => value;
export const NO_MASK: Mask = { text: identity, value: identity, error: identity };

/** A mask for what stands in `values` below any of the `keys`, at any depth. */
export function maskFor(keys: ReadonlySet<string>, values: readonly unknown[]): Mask {
  if (keys.size === 0) return NO_MASK;
  const found = new Set<string>();
  for (const value of values) collect(value, keys, false, found);
  // Values are read now, since a handler may change them; most attempts have no text in which they are looked for.
  let known: readonly string[] | undefined;
  const secrets = () => {
    known ??= shownOf(found);
    return known;
  };
  const text = (raw: string): string =>
    secrets().reduce((out, secret) => out.replaceAll(secret, HIDDEN), withoutInspectedCut(raw, secrets()));
  const whole = (raw: unknown, masked: (text: string) => string): unknown => {
    if (typeof raw === 'string') return masked(raw);
    if (typeof raw === 'number') return found.has(String(raw)) ? HIDDEN : raw;
    if (Array.isArray(raw)) return raw.map((item) => whole(item, masked));
    if (!isPlainObject(raw)) return raw;
    return Object.fromEntries(
      Object.entries(raw).map(([key, item]) => [text(key), keys.has(key) ? HIDDEN : whole(item, masked)]),
    );
  };
  const value = (raw: unknown) => whole(raw, text);
  const cutText = (raw: string) => text(withoutCutSecret(raw, secrets()));
  // What tells errors apart is left as it is, whatever the keys are called.
  const error = (record: ErrorRecord): ErrorRecord => ({
    ...record,
    message: cutText(record.message),
    ...(record.stack !== undefined && { stack: cutText(record.stack) }),
    ...(typeof record.code === 'string' && { code: text(record.code) }),
    ...(record.issues !== undefined && {
      issues: record.issues.map(({ path, message }) => ({ path: text(path), message: text(message) })),
    }),
    ...(record.data !== undefined && { data: value(record.data) }),
    ...(record.fields !== undefined && {
      fields: whole(record.fields, cutText) as Readonly<Record<string, unknown>>, // an object stays one
    }),
    ...(record.cause !== undefined && { cause: error(record.cause) }),
    ...(record.errors !== undefined && { errors: record.errors.map(error) }),
  });
  return { text, value, error };
}

/** All that is to be hidden of these secrets. The longest first: it may hold a shorter one. */
function shownOf(secrets: ReadonlySet<string>): string[] {
  const shown = new Set<string>();
  for (const secret of secrets)
    for (const rendering of renderingsOf(secret)) if (rendering.length >= SHORTEST) shown.add(rendering);
  return [...shown].sort((a, b) => b.length - a.length);
}

/** Long texts of errors are cut before they are masked, and may be cut within a secret: its beginning is hidden too. */
function withoutCutSecret(text: string, secrets: readonly string[]): string {
  const end = text.lastIndexOf(CUT.from);
  if (end < 0 || !text.endsWith(CUT.to)) return text;
  const kept = text.slice(0, end);
  for (const secret of secrets) {
    for (let length = Math.min(secret.length - 1, end); length > 0; length -= 1) {
      if (kept.endsWith(secret.slice(0, length))) {
        return kept.slice(0, -length) + HIDDEN + text.slice(end);
      }
    }
  }
  return text;
}

/** The same of what `util.inspect` cuts. */
function withoutInspectedCut(text: string, secrets: readonly string[]): string {
  if (!text.includes(' more character')) return text;
  let masked = text;
  for (const { start, end } of cutWithin(text, secrets).toReversed())
    masked = masked.slice(0, start) + HIDDEN + masked.slice(end);
  return masked;
}

function collect(value: unknown, keys: ReadonlySet<string>, isSecret: boolean, found: Set<string>): void {
  if (typeof value === 'string' || typeof value === 'number') {
    const secret = String(value);
    if (!isSecret || secret.length < SHORTEST) return;
    found.add(secret);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, keys, isSecret, found);
  } else if (isPlainObject(value)) {
    for (const [key, item] of Object.entries(value)) collect(item, keys, isSecret || keys.has(key), found);
  }
}

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
