/** Checks that JSON carries a value unchanged, and defines the keys that Umbel reserves in values. */
import type { ValidationIssue } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { isSealed, SEALED } from './codecs.js';

/** Maximum nesting. Deeper values are usually mistakes, and the recursion over them must end. */
const MAX_DEPTH = 64;

/**
 * Returns the parts of a value that JSON would change, each with its path; empty if JSON carries the value unchanged in at
 * most `maxBytes` bytes.
 *
 * `undefined` is allowed as the whole value and as a property (both mean "absent"), but not in an array. `-0` is allowed and
 * becomes 0: it is a result of rounding, and no result should fail because of its sign.
 */
export function jsonIssues(
  value: unknown,
  path: string,
  maxBytes = Number.POSITIVE_INFINITY,
): readonly ValidationIssue[] {
  if (value === undefined) return NO_ISSUES;
  if (isQuicklyAccepted(value, maxBytes)) return NO_ISSUES;
  const found: Findings = { issues: [], minBytes: 0, upperBytes: 0, maxBytes };
  visit(value, path, [], found);
  const { issues } = found;
  if (issues.length === 0 && found.upperBytes > maxBytes) checkSize(value, path, found);
  const reserved = isSealed(value) ? SEALED : reservedKey(value);
  if (issues.length === 0 && reserved !== undefined) {
    issues.push({ path, message: `the key "${reserved}" is reserved for Umbel` });
  }
  return issues;
}

const NO_ISSUES: readonly ValidationIssue[] = [];

/** Number of values that the quick check visits, which also limits its depth. */
const QUICK_VALUES = MAX_DEPTH;

/** Accepts small plain values, which most values are, with a quick check. False: the full check must decide. */
function isQuicklyAccepted(value: unknown, maxBytes: number): boolean {
  const budget: Budget = { values: QUICK_VALUES, bytes: maxBytes };
  try {
    return isPlainValue(value, budget) && !isSealed(value) && reservedKey(value) === undefined;
  } catch {
    return false; // the full check reports the unreadable part
  }
}

/** The rest that the quick check may visit. */
interface Budget {
  values: number;
  bytes: number;
}

/** Does the checks of `visit` without paths. It ends even for circular values, because it visits few values. */
function isPlainValue(value: unknown, budget: Budget): boolean {
  budget.values -= 1;
  budget.bytes -= MAX_VALUE_BYTES;
  switch (typeof value) {
    case 'string':
      budget.bytes -= value.length * MAX_CHARACTER_BYTES;
      break;
    case 'boolean':
      break;
    case 'number':
      if (!Number.isFinite(value)) return false;
      break;
    case 'object':
      if (value !== null && !isPlainContainer(value, budget)) return false;
      break;
    default:
      return false;
  }
  return budget.values >= 0 && budget.bytes >= 0;
}

function isPlainContainer(value: object, budget: Budget): boolean {
  if (budget.values < 0 || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlainValue(item, budget)) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  for (const key in value) {
    if (key === '__proto__' || !Object.hasOwn(value, key)) return false;
    const item = value[key];
    if (item === undefined) continue;
    budget.bytes -= key.length * MAX_CHARACTER_BYTES;
    if (!isPlainValue(item, budget)) return false;
  }
  return true;
}

/** Measures a value that may be too long. For others it would waste time: measuring costs as much as sending. */
function checkSize(value: unknown, path: string, { issues, minBytes, maxBytes }: Findings): void {
  const isUnmeasured = minBytes > maxBytes * UNMEASURED_FACTOR; // the visit ended early
  const bytes = isUnmeasured ? minBytes : Buffer.byteLength(JSON.stringify(value));
  if (bytes <= maxBytes) return;
  issues.push({
    path,
    message: `it takes ${isUnmeasured ? 'at least ' : ''}${bytes} bytes as JSON, the limit is ${maxBytes}; store it elsewhere and send its address, or raise createApp({ limits })`,
  });
}

interface Findings {
  readonly issues: ValidationIssue[];
  /** Bounds of the size of the JSON. */
  minBytes: number;
  upperBytes: number;
  /** The limit. */
  readonly maxBytes: number;
}

/** Bytes of the longest number with the punctuation around it. */
const MAX_VALUE_BYTES = 26;
/** Bytes of an escaped character. */
const MAX_CHARACTER_BYTES = 6;

/** A value whose lower bound exceeds the limit by this factor is refused without measuring it. */
const UNMEASURED_FACTOR = 8;
/** Enough to fix a value; a list of a million functions would have a million issues. */
const MAX_ISSUES = 100;

/** Returns whether the visit can end. A small value may contain shared parts so often that it would otherwise not end. */
function isDecided({ issues, minBytes, maxBytes }: Findings): boolean {
  return issues.length >= MAX_ISSUES || minBytes > maxBytes * UNMEASURED_FACTOR;
}

function visit(value: unknown, path: string, above: object[], found: Findings): void {
  const { issues } = found;
  found.minBytes += 1;
  found.upperBytes += MAX_VALUE_BYTES;
  switch (typeof value) {
    case 'string':
      found.minBytes += value.length + 1;
      found.upperBytes += value.length * MAX_CHARACTER_BYTES;
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
  let itemPath = path;
  try {
    const isArray = Array.isArray(value);
    if (!isArray && !isPlainObject(value)) {
      const name = value.constructor?.name || 'object';
      found.issues.push({ path, message: `JSON cannot carry a ${name}; send plain data, or use a codec` });
    } else if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
      found.issues.push({
        path,
        message: 'it has a toJSON method, so JSON would carry its return value instead',
      });
    } else if (isArray) {
      for (let index = 0; index < value.length && !isDecided(found); index += 1) {
        itemPath = `${path}[${index}]`;
        visit(value[index], itemPath, above, found);
      }
    } else {
      for (const key of Object.keys(value)) {
        if (isDecided(found)) return;
        itemPath = `${path}.${key}`;
        const item = value[key];
        if (key === '__proto__') found.issues.push({ path, message: 'it has an own key "__proto__"' });
        if (item === undefined) continue;
        found.minBytes += key.length + 3;
        found.upperBytes += key.length * MAX_CHARACTER_BYTES;
        visit(item, itemPath, above, found);
      }
    }
  } catch (error) {
    // A getter or a Proxy threw.
    const reason = error instanceof Error ? error.message : String(error);
    found.issues.push({ path: itemPath, message: `it cannot be read: ${reason}` });
  }
}

export const STOPPED = 'umbel:stopped';

export const MEMBERS = 'umbel:members';

export const PASSED = 'umbel:passed';

/** The key of a long result's length, which replaces the result in an event. */
export const LEFT_OUT = 'umbel:stored';

const RESERVED = [STOPPED, MEMBERS, PASSED, LEFT_OUT];

/** Returns the reserved key that the value contains, if any. Results with such keys control workflows, see job/marks.ts. */
function reservedKey(value: unknown): string | undefined {
  if (!isPlainObject(value)) return undefined;
  for (const key of RESERVED) if (key in value) return key;
  return undefined;
}

/** Returns JSON with sorted keys, so that equal objects have equal JSON. */
export function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, item: unknown) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
        : item,
    ) ?? ''
  );
}
