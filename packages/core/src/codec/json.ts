import type { ValidationIssue } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { isSealed, SEALED } from './codecs.js';

/** Deeper values are refused: they are mistakes far more often than data, and recursion over them must end. */
const MAX_DEPTH = 64;

/**
 * What JSON would change about a value, with the path of each place; empty when it travels unchanged, in at most
 * `maxBytes` bytes of JSON.
 *
 * `undefined` is allowed as the whole value and as a property (both mean "absent"), not in an array. `-0` is allowed and
 * travels as 0: rounding makes it, and no result is worth losing for its sign.
 */
export function jsonIssues(
  value: unknown,
  path: string,
  maxBytes = Number.POSITIVE_INFINITY,
): readonly ValidationIssue[] {
  if (value === undefined) return NO_ISSUES;
  if (travels(value, maxBytes)) return NO_ISSUES;
  const found: Findings = { issues: [], least: 0, most: 0, maxBytes };
  visit(value, path, [], found);
  const { issues } = found;
  if (issues.length === 0 && found.most > maxBytes) checkSize(value, path, found);
  const reserved = isSealed(value) ? SEALED : reservedKey(value);
  if (issues.length === 0 && reserved !== undefined) {
    issues.push({ path, message: `the key "${reserved}" is kept for Umbel's own values` });
  }
  return issues;
}

const NO_ISSUES: readonly ValidationIssue[] = [];

/** Places that the first look goes to. It goes no deeper either. */
const FEW = MAX_DEPTH;

/** Whether a first look, which most values need, shows that a value has no issues: it is small and plain. */
function travels(value: unknown, maxBytes: number): boolean {
  const look: Look = { places: FEW, bytes: maxBytes };
  try {
    return isPlainly(value, look) && !isSealed(value) && reservedKey(value) === undefined;
  } catch {
    return false; // the second look tells what cannot be read
  }
}

/** What a first look may still go through. */
interface Look {
  places: number;
  bytes: number;
}

/** As `visit` below, without a path; false where that has to look. It ends since it goes to few places. */
function isPlainly(value: unknown, look: Look): boolean {
  look.places -= 1;
  look.bytes -= MOST_OF_A_PLACE;
  switch (typeof value) {
    case 'string':
      look.bytes -= value.length * MOST_OF_A_CHARACTER;
      break;
    case 'boolean':
      break;
    case 'number':
      if (!Number.isFinite(value)) return false;
      break;
    case 'object':
      if (value !== null && !isPlainlyHeld(value, look)) return false;
      break;
    default:
      return false;
  }
  return look.places >= 0 && look.bytes >= 0;
}

function isPlainlyHeld(value: object, look: Look): boolean {
  if (look.places < 0 || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlainly(item, look)) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  for (const key of Object.keys(value)) {
    const item = value[key];
    if (key === '__proto__') return false;
    if (item === undefined) continue;
    look.bytes -= key.length * MOST_OF_A_CHARACTER;
    if (!isPlainly(item, look)) return false;
  }
  return true;
}

/** Writing a value only to measure it costs as much as sending it, so this is for those that may be too long. */
function checkSize(value: unknown, path: string, { issues, least, maxBytes }: Findings): void {
  const isFarOver = least > maxBytes * FAR; // the visit ended there
  const bytes = isFarOver ? least : Buffer.byteLength(JSON.stringify(value));
  if (bytes <= maxBytes) return;
  issues.push({
    path,
    message: `it takes ${isFarOver ? 'at least ' : ''}${bytes} bytes as JSON, the limit is ${maxBytes}; store it elsewhere and send its address, or raise createApp({ limits })`,
  });
}

interface Findings {
  readonly issues: ValidationIssue[];
  /** Bounds of the bytes of the JSON. */
  least: number;
  most: number;
  readonly maxBytes: number;
}

/** The longest number, and the signs round a value, in bytes. */
const MOST_OF_A_PLACE = 26;
/** An escaped one, in bytes. */
const MOST_OF_A_CHARACTER = 6;

/** So many times the limit is too long without a measure. */
const FAR = 8;
/** Enough to mend a value by; a list of a million functions has a million. */
const MAX_ISSUES = 100;

/** Whether enough is known: a small value can hold itself so often that a visit of every place would never end. */
function isDecided({ issues, least, maxBytes }: Findings): boolean {
  return issues.length >= MAX_ISSUES || least > maxBytes * FAR;
}

function visit(value: unknown, path: string, above: object[], found: Findings): void {
  const { issues } = found;
  found.least += 1;
  found.most += MOST_OF_A_PLACE;
  switch (typeof value) {
    case 'string':
      found.least += value.length + 1;
      found.most += value.length * MOST_OF_A_CHARACTER;
      return;
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) issues.push({ path, message: `JSON cannot carry ${value}` });
      return;
    case 'object':
      if (value !== null) visitObject(value, path, above, found);
      return;
    default:
      issues.push({
        path,
        message: `JSON cannot carry ${value === undefined ? 'undefined' : `a ${typeof value}`}`,
      });
  }
}

function visitObject(value: object, path: string, above: object[], found: Findings): void {
  const { issues } = found;
  if (above.includes(value)) {
    issues.push({ path, message: 'it contains itself' });
    return;
  }
  if (above.length >= MAX_DEPTH) {
    issues.push({ path, message: `it is nested deeper than ${MAX_DEPTH} levels` });
    return;
  }
  above.push(value);
  visitContent(value, path, above, found);
  above.pop();
}

function visitContent(value: object, path: string, above: object[], found: Findings): void {
  let place = path;
  try {
    const isArray = Array.isArray(value);
    if (!isArray && !isPlainObject(value)) {
      const name = value.constructor?.name || 'object';
      found.issues.push({ path, message: `JSON cannot carry a ${name}; send plain data, or use a codec` });
    } else if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
      found.issues.push({ path, message: 'it has a toJSON method, so JSON would carry what that gives' });
    } else if (isArray) {
      for (let index = 0; index < value.length && !isDecided(found); index += 1) {
        place = `${path}[${index}]`;
        visit(value[index], place, above, found);
      }
    } else {
      for (const key of Object.keys(value)) {
        if (isDecided(found)) return;
        place = `${path}.${key}`;
        const item = value[key];
        if (key === '__proto__') found.issues.push({ path, message: 'it has a key "__proto__" of its own' });
        if (item === undefined) continue;
        found.least += key.length + 3;
        found.most += key.length * MOST_OF_A_CHARACTER;
        visit(item, place, above, found);
      }
    }
  } catch (error) {
    // A getter or a Proxy that throws.
    const reason = error instanceof Error ? error.message : String(error);
    found.issues.push({ path: place, message: `it cannot be read: ${reason}` });
  }
}

export const STOPPED = 'umbel:stopped';

export const MEMBERS = 'umbel:members';

export const PASSED = 'umbel:passed';

/** With the length of the result that it stands for. */
export const LEFT_OUT = 'umbel:stored';

export const RESERVED = [STOPPED, MEMBERS, PASSED, LEFT_OUT];

/** The key of a value that Umbel keeps for its own results; undefined for every other value. */
export function reservedKey(value: unknown): string | undefined {
  if (!isPlainObject(value)) return undefined;
  return RESERVED.find((key) => key in value);
}

/** JSON with sorted keys: the order in which an object was written is no difference. */
export function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, item: unknown) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
        : item,
    ) ?? ''
  );
}
