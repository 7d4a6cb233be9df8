/** Whether a value fulfils a condition: plain data, so that it can be stored with a run. */
import { isPlainObject } from '../wire/plain-object.js';
import type { Condition } from './node.js';

type Ordered = string | number;

/** True if `value` has, under every key of the condition, what it asks for. */
export function fulfils(value: unknown, condition: Condition): boolean {
  if (!isPlainObject(value)) return false;
  return Object.entries(condition).every(([key, wanted]) =>
    compares(Object.hasOwn(value, key) ? value[key] : undefined, wanted),
  );
}

const COMPARISONS: Readonly<Record<string, (given: unknown, wanted: unknown) => boolean>> = {
  eq: (given, wanted) => given === wanted,
  ne: (given, wanted) => given !== wanted,
  gt: ordered((given, wanted) => given > wanted),
  gte: ordered((given, wanted) => given >= wanted),
  lt: ordered((given, wanted) => given < wanted),
  lte: ordered((given, wanted) => given <= wanted),
  in: (given, wanted) => Array.isArray(wanted) && wanted.includes(given),
  exists: (given, wanted) => (given !== undefined && given !== null) === wanted,
};

function compares(given: unknown, wanted: unknown): boolean {
  if (!isPlainObject(wanted)) return given === wanted;
  return Object.entries(wanted).every(([name, bound]) => COMPARISONS[name]?.(given, bound) ?? false);
}

/** Values of different kinds have no order: then nothing holds. */
function ordered(holds: (given: Ordered, wanted: Ordered) => boolean) {
  return (given: unknown, wanted: unknown): boolean => {
    if (typeof given === 'number' && typeof wanted === 'number') return holds(given, wanted);
    return typeof given === 'string' && typeof wanted === 'string' && holds(given, wanted);
  };
}
