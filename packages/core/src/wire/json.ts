import type { ValidationIssue } from '../errors.js';

/** Deeper values are refused: they are mistakes far more often than data, and recursion over them must end. */
const MAX_DEPTH = 64;

/**
 * What JSON would change about a value, with the path of each place; empty when it travels unchanged.
 *
 * `undefined` is allowed as the whole value and as a property (both mean "absent"), not in an array.
 */
export function jsonIssues(value: unknown, path: string): ValidationIssue[] {
  if (value === undefined) return [];
  const issues: ValidationIssue[] = [];
  visit(value, path, [], issues);
  return issues;
}

function visit(value: unknown, path: string, above: object[], issues: ValidationIssue[]): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) issues.push({ path, message: `JSON cannot carry ${value}` });
      else if (Object.is(value, -0)) issues.push({ path, message: 'JSON would turn -0 into 0' });
      return;
    case 'object':
      if (value !== null) visitObject(value, path, above, issues);
      return;
    default:
      issues.push({
        path,
        message: `JSON cannot carry ${value === undefined ? 'undefined' : `a ${typeof value}`}`,
      });
  }
}

function visitObject(value: object, path: string, above: object[], issues: ValidationIssue[]): void {
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
      visit(value[index], `${path}[${index}]`, above, issues);
    }
  } else if (isPlainObject(value)) {
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key];
      if (item !== undefined) visit(item, `${path}.${key}`, above, issues);
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
