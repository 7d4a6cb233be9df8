/** Hides sensitive values in what people read: logs, progress and errors. */
import type { ErrorRecord } from '../errors.js';
import { CUT } from './error-fields.js';
import { isPlainObject } from './plain-object.js';
import { cutWithin, renderingsOf } from './renderings.js';

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
