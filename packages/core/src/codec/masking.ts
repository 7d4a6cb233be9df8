/** Masks sensitive values in logs, progress and errors, and sanitises values that were read from the store. */
import { inspect } from 'node:util';
import type { ErrorRecord } from '../base/errors.js';
import { escaped, isPlainObject, printable } from '../base/text.js';
import { CUT } from './error-fields.js';

// Renderings of a secret in text: in JSON, in the output of `util.inspect` and `console.log`, and in URLs. All of them are
// masked. Other encodings by a handler, such as base64, are not recognised.

/** Secrets of only these characters have no other rendering. */
const PLAIN = /^[A-Za-z0-9_.-]*$/;

/** For longer secrets only the common renderings are searched, because each is searched in each text. */
const MAX_FULLY_RENDERED = 100_000;

/** Minimum length of a line of a secret that is masked by itself. Shorter lines are too common. */
const MIN_LINE = 8;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are to be matched
const INSPECTED = /[\\\u0000-\u001f\u007f-\u009f]/g;

/** Returns the secret and its other renderings. Their number is limited, even for a long secret. */
export function renderingsOf(secret: string): ReadonlySet<string> {
  const shown = new Set([secret]);
  if (PLAIN.test(secret)) return shown;
  const json = inJson(secret);
  shown.add(json);
  addInspected(shown, secret);
  if (secret.length > MAX_FULLY_RENDERED) return shown;
  // JSON text that is a string in other JSON, or in a logged object.
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

/** Adds the renderings of `util.inspect`, which chooses one of three quotes depending on the whole text. */
function addInspected(shown: Set<string>, secret: string): void {
  const whole = inspected(secret);
  shown.add(whole).add(whole.replaceAll("'", "\\'"));
  // A long multi-line text in an object is shown line by line.
  const lines = secret.split('\n', MAX_LINES);
  if (lines.length === 1) return;
  for (const [index, line] of lines.entries()) {
    if (line.length < MIN_LINE) continue;
    const end = index < lines.length - 1 ? '\\n' : '';
    const text = inspected(line);
    shown.add(`${text}${end}`);
    shown.add(`${text.replaceAll("'", "\\'")}${end}`);
  }
}

/** More lines than a private key has. */
const MAX_LINES = 200;

/** Returns the text with the escapes of a literal, except those of quotes. */
function inspected(text: string): string {
  return text.replace(INSPECTED, (character) => inspect(character).slice(1, -1));
}

/** Adds the renderings as parts of a URL. */
function addEncoded(shown: Set<string>, secret: string): void {
  let component: string;
  try {
    component = encodeURIComponent(secret);
  } catch {
    return; // a lone surrogate, which no other function encodes either
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

/** Matches the end of a string that `util.inspect` has cut, with or without colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour ends with a control character
const CUTS = /['"`](?:\u001b\[\d+m)?\.\.\. \d+ more characters?/g;
/** Maximum number of cuts that are examined in one text. */
const MAX_CUTS = 100;
/** Shorter beginnings of a secret are not masked. */
const PROBE = 4;

/** Returns the ranges of text in which `util.inspect` shows the beginning of a secret that it has cut. */
function cutWithin(
  text: string,
  secrets: readonly string[],
): readonly { readonly start: number; readonly end: number }[] {
  const found: { start: number; end: number }[] = [];
  let examined = 0;
  for (const { index: end } of text.matchAll(CUTS)) {
    examined += 1;
    if (examined > MAX_CUTS) break;
    const start = secrets.map((secret) => startOf(text, end, secret)).find((at) => at !== undefined);
    if (start !== undefined) found.push({ start, end });
  }
  return found;
}

/** Returns the index of an incomplete beginning of a secret that reaches to `end`. */
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
/** Shorter values are not masked, because they occur in almost every text. */
const MIN_SECRET = 4;

/** Masks the secrets of one attempt in texts, values and errors. */
export interface Mask {
  text(text: string): string;
  value(value: unknown): unknown;
  error(error: ErrorRecord): ErrorRecord;
}

const identity = <T>(value: T): T => value;
export const NO_MASK: Mask = { text: identity, value: identity, error: identity };

/** Returns a mask for the values below any of the `keys`, at any depth of `values`. */
export function maskFor(keys: ReadonlySet<string>, values: readonly unknown[]): Mask {
  if (keys.size === 0) return NO_MASK;
  const found = new Set<string>();
  for (const value of values) collect(value, keys, false, found);
  // Secrets are collected now, because a handler may change the values. Their renderings are computed only when needed.
  let renderings: readonly string[] | undefined;
  const secrets = () => {
    renderings ??= allRenderings(found);
    return renderings;
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
  // Names and codes of errors stay, so that errors can be distinguished, even if a key has the same name.
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
      fields: whole(record.fields, cutText) as Readonly<Record<string, unknown>>, // an object stays an object
    }),
    ...(record.cause !== undefined && { cause: error(record.cause) }),
    ...(record.errors !== undefined && { errors: record.errors.map(error) }),
  });
  return { text, value, error };
}

/** Returns all renderings of the secrets, the longest first, because it may contain a shorter one. */
function allRenderings(secrets: ReadonlySet<string>): string[] {
  const shown = new Set<string>();
  for (const secret of secrets)
    for (const rendering of renderingsOf(secret)) if (rendering.length >= MIN_SECRET) shown.add(rendering);
  return [...shown].sort((a, b) => b.length - a.length);
}

/** Masks the beginning of a secret at the end of a cut text: texts of errors are cut before they are masked. */
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

/** Masks the beginnings of secrets that `util.inspect` has cut. */
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
    if (!isSecret || secret.length < MIN_SECRET) return;
    found.add(secret);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, keys, isSecret, found);
  } else if (isPlainObject(value)) {
    for (const [key, item] of Object.entries(value)) collect(item, keys, isSecret || keys.has(key), found);
  }
}

// Values that were read from the store, where anybody may have written them.

/**
 * Maximum nesting. It exceeds that of inputs, because joins nest results, and is close to the depth at which
 * `JSON.stringify` fails.
 */
const MAX_DEPTH = 2_000;

const NOTHING: readonly object[] = [];

/**
 * Removes keys `__proto__` from a parsed value at any depth, because a copy of the value would get a prototype. Returns the
 * reason if the value still cannot be used. It works level by level, because recursion over stored data could overflow the
 * stack.
 */
export function sanitize(value: unknown, maxBytes = Number.POSITIVE_INFINITY): string | undefined {
  if (isSmall(value, { values: SMALL_VALUES, bytes: maxBytes })) return undefined;
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
        const item = (holder as Readonly<Record<string | number, unknown>>)[key ?? at]; // a list or an object
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

/** Number of values in a small value, which also limits its depth. */
const SMALL_VALUES = 64;

/** Whether a value needs no further check: most stored values are small, and this check allocates nothing for them. */
function isSmall(value: unknown, rest: { values: number; bytes: number }): boolean {
  rest.values -= 1;
  rest.bytes -= sizeOf(value);
  if (rest.values < 0 || rest.bytes < 0) return false;
  if (!isObject(value)) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (!isSmall(item, rest)) return false;
    return true;
  }
  for (const key in value) {
    rest.bytes -= key.length + 3;
    const item = (value as Readonly<Record<string, unknown>>)[key]; // any object has its keys
    if (key === '__proto__' || !isSmall(item, rest)) return false;
  }
  return true;
}

/** Returns a lower bound of the value's size in bytes, without its contents. */
function sizeOf(value: unknown): number {
  return typeof value === 'string' ? value.length + 2 : 1;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
