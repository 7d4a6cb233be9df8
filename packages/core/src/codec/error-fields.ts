/**
 * Reads the class name and the data fields of an error for its stored record. Errors come from any code, so this module
 * never calls their getters, `toJSON` or other methods.
 */
import { isPlainObject } from '../base/text.js';

/** Limits of the fields of one error. The record is stored with the job, and read with every list of failed jobs. */
const MAX_FIELDS_CHARACTERS = 8_000;
const MAX_TEXT = 1_000;
const MAX_KEYS = 50;
const MAX_DEPTH = 4;

/** Replaces the values of keys that name a credential: errors of HTTP clients often contain the failed request. */
const HIDDEN = '***';
const CREDENTIAL =
  /pass(word|wd|phrase)|secret|credential|authorization|cookie|session[-_]?id|api[-_]?key|private[-_]?key|token$/i;

/** Fields that the record stores separately. */
const STORED_SEPARATELY: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'code', 'cause']);

/** Returns the error's `name`, or the name of its class if `name` is inherited from a superclass. */
export function nameOf(error: Error): string {
  const name = read(error, 'name');
  const className = classNameOf(prototypeOf(error));
  if (typeof name !== 'string' || name === '') return className ?? 'Error';
  if (className === undefined || className === name) return name;
  let superclass = prototypeOf(prototypeOf(error));
  for (let depth = 0; superclass !== null && depth < MAX_CLASSES; depth += 1) {
    if (classNameOf(superclass) === name) return className;
    superclass = prototypeOf(superclass);
  }
  return name;
}

/** Number of superclasses that are examined. */
const MAX_CLASSES = 20;

/** Returns a property of a thrown value, or undefined if reading it throws. */
export function read(holder: object, key: string): unknown {
  try {
    return (holder as Readonly<Record<string, unknown>>)[key];
  } catch {
    return undefined;
  }
}

/**
 * Returns the error's own enumerable data fields as JSON, within the limits; undefined if there are none. Class instances
 * and the keys in `without` are omitted.
 */
export function fieldsOf(
  error: Error,
  without: ReadonlySet<string>,
): Readonly<Record<string, unknown>> | undefined {
  const budget = { characters: MAX_FIELDS_CHARACTERS };
  try {
    const fields = entriesOf(error, budget, 0, (key) => STORED_SEPARATELY.has(key) || without.has(key));
    return Object.keys(fields).length === 0 ? undefined : fields;
  } catch {
    return undefined; // a Proxy threw; the failure is still recorded
  }
}

interface Budget {
  characters: number;
}

function entriesOf(
  holder: object,
  budget: Budget,
  depth: number,
  isOmitted: (key: string) => boolean = () => false,
): Record<string, unknown> {
  const entries: Record<string, unknown> = {};
  let count = 0;
  for (const key of Object.keys(holder)) {
    if (count >= MAX_KEYS || budget.characters <= 0) break;
    if (key === '__proto__' || key.length > MAX_TEXT || isOmitted(key)) continue;
    const value = dataAt(holder, key);
    if (value === undefined) continue;
    const kept = CREDENTIAL.test(key) ? HIDDEN : jsonOf(value, budget, depth + 1);
    if (kept === undefined) continue;
    budget.characters -= key.length + 3;
    count += 1;
    entries[key] = kept;
  }
  return entries;
}

/** Returns the value as JSON; undefined if JSON cannot carry it, or the budget is used up. */
function jsonOf(value: unknown, budget: Budget, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return textWithin(value, budget);
    case 'number':
      budget.characters -= 1;
      return Number.isFinite(value) ? value + 0 : String(value);
    case 'bigint':
      return textWithin(String(value), budget);
    case 'boolean':
      budget.characters -= 1;
      return value;
    case 'object':
      budget.characters -= 2;
      return value === null ? null : objectAsJson(value, budget, depth);
    default:
      return undefined;
  }
}

function objectAsJson(value: object, budget: Budget, depth: number): unknown {
  if (value instanceof Date) {
    const time = Date.prototype.getTime.call(value);
    return Number.isNaN(time) ? undefined : new Date(time).toISOString();
  }
  if (value instanceof Error) return shortError(value, budget);
  if (depth > MAX_DEPTH) return undefined;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value.slice(0, MAX_KEYS)) {
      if (budget.characters <= 0) break;
      items.push(jsonOf(item, budget, depth + 1) ?? null); // as in JSON
    }
    return items;
  }
  return isPlainObject(value) ? entriesOf(value, budget, depth) : undefined;
}

/** Returns the short form of an error in the fields of another error. */
function shortError(error: Error, budget: Budget): unknown {
  const code = read(error, 'code');
  return {
    name: textWithin(nameOf(error), budget),
    message: textWithin(String(read(error, 'message')), budget),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
  };
}

function textWithin(text: string, budget: Budget): string {
  const kept = clip(text, Math.min(MAX_TEXT, Math.max(budget.characters, 0)));
  budget.characters -= kept.length + 2;
  return kept;
}

/** Marks a cut text: the length of the whole text stands between `from` and `to`, at the end of the kept part. */
export const CUT = { from: '… (', to: ' characters)' } as const;

export function clip(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}${CUT.from}${text.length}${CUT.to}`;
}

/** Returns the value of a data property; undefined for a getter, which is not called. */
function dataAt(holder: object, key: string): unknown {
  try {
    return Object.getOwnPropertyDescriptor(holder, key)?.value;
  } catch {
    return undefined;
  }
}

function prototypeOf(value: object | null): object | null {
  try {
    return value === null ? null : Object.getPrototypeOf(value);
  } catch {
    return null;
  }
}

/** Returns the name of the class with this prototype. */
function classNameOf(prototype: object | null): string | undefined {
  const maker = prototype === null ? undefined : dataAt(prototype, 'constructor');
  const name = typeof maker === 'function' ? dataAt(maker, 'name') : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
