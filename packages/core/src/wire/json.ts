import type { ValidationIssue } from '../errors.js';

/** Deeper values are refused: they are mistakes far more often than data, and recursion over them must end. */
const MAX_DEPTH = 64;

/**
 * What JSON would change about a value, with the path of each place; empty when it travels unchanged, in at most
 * `maxBytes` bytes of JSON.
 *
 * `undefined` is allowed as the whole value and as a property (both mean "absent"), not in an array.
 */
export function jsonIssues(
  value: unknown,
  path: string,
  maxBytes = Number.POSITIVE_INFINITY,
): ValidationIssue[] {
  if (value === undefined) return [];
  const found: Findings = { issues: [], characters: 0 };
  visit(value, path, [], found);
  // JSON takes at most six bytes for a character; writing it only to measure it costs as much as sending it.
  if (found.issues.length === 0 && found.characters * 6 > maxBytes) {
    const bytes = Buffer.byteLength(JSON.stringify(value));
    if (bytes > maxBytes) {
      found.issues.push({
        path,
        message: `it takes ${bytes} bytes as JSON, the limit is ${maxBytes}; store it elsewhere and send its address, or raise createApp({ limits })`,
      });
    }
  }
  return found.issues;
}

interface Findings {
  readonly issues: ValidationIssue[];
  /** An upper bound of the characters of the JSON, with escapes left out. */
  characters: number;
}

/** Enough to mend a value by; a list of a million functions has a million. */
const MAX_ISSUES = 100;

function visit(value: unknown, path: string, above: object[], found: Findings): void {
  const { issues } = found;
  if (issues.length >= MAX_ISSUES) return;
  found.characters += 26; // the longest number, and the signs round a value
  switch (typeof value) {
    case 'string':
      found.characters += value.length;
      return;
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) issues.push({ path, message: `JSON cannot carry ${value}` });
      else if (Object.is(value, -0)) issues.push({ path, message: 'JSON would turn -0 into 0' });
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
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      visit(value[index], `${path}[${index}]`, above, found);
    }
  } else if (isPlainObject(value)) {
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key];
      found.characters += key.length;
      if (key === '__proto__') found.issues.push({ path, message: 'it has a key "__proto__" of its own' });
      if (item !== undefined) visit(item, `${path}.${key}`, above, found);
    }
  } else {
    const name = value.constructor?.name ?? 'object';
    issues.push({ path, message: `JSON cannot carry a ${name}; send plain data, or use a codec` });
  }
  above.pop();
}

/** True for objects made by a literal, `Object.create(null)` or `JSON.parse`. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
