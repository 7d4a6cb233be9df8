/**
 * Reads from an error what the store keeps beside its message: the name of its class, and the fields that a program has
 * put on it. Errors are made by anybody's code, so nothing here calls a getter, a `toJSON` or a method of theirs.
 */
import { isPlainObject } from '../base/text.js';

/** Bounds of the fields of one error: the record is stored with the job, and read with every list of failed jobs. */
const MAX_FIELDS_CHARACTERS = 8_000;
const MAX_TEXT = 1_000;
const MAX_KEYS = 50;
const MAX_DEPTH = 4;

/** Stands for the value of a key that names a credential: errors of HTTP clients carry the request that failed. */
const HIDDEN = '***';
const CREDENTIAL =
  /pass(word|wd|phrase)|secret|credential|authorization|cookie|session[-_]?id|api[-_]?key|private[-_]?key|token$/i;

/** Fields that the record holds by themselves. */
const HELD: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'code', 'cause']);

/**
 * The name that tells the error from others: its `name`, or the name of its class where the class has left `name` as a
 * class above it has set it.
 */
export function nameOf(error: Error): string {
  const name = read(error, 'name');
  const own = classNameOf(prototypeOf(error));
  if (typeof name !== 'string' || name === '') return own ?? 'Error';
  if (own === undefined || own === name) return name;
  let above = prototypeOf(prototypeOf(error));
  for (let depth = 0; above !== null && depth < MAX_CLASSES; depth += 1) {
    if (classNameOf(above) === name) return own;
    above = prototypeOf(above);
  }
  return name;
}

/** Classes above an error's own that are looked at. */
const MAX_CLASSES = 20;

/** A property of a thrown value, or undefined if reading it throws. */
export function read(holder: object, key: string): unknown {
  try {
    return (holder as Readonly<Record<string, unknown>>)[key]; // whatever it is
  } catch {
    return undefined;
  }
}

/**
 * The error's own enumerable data fields as JSON would carry them, within bounds; undefined if there are none. Objects of
 * classes are left out, as are the keys in `without`.
 */
export function fieldsOf(
  error: Error,
  without: ReadonlySet<string>,
): Readonly<Record<string, unknown>> | undefined {
  const budget = { characters: MAX_FIELDS_CHARACTERS };
  try {
    const fields = entriesOf(error, budget, 0, (key) => HELD.has(key) || without.has(key));
    return Object.keys(fields).length === 0 ? undefined : fields;
  } catch {
    return undefined; // a Proxy that throws: the failure itself is recorded all the same
  }
}

interface Budget {
  characters: number;
}

function entriesOf(
  holder: object,
  budget: Budget,
  depth: number,
  isLeftOut: (key: string) => boolean = () => false,
): Record<string, unknown> {
  const entries: Record<string, unknown> = {};
  let count = 0;
  for (const key of Object.keys(holder)) {
    if (count >= MAX_KEYS || budget.characters <= 0) break;
    if (key === '__proto__' || key.length > MAX_TEXT || isLeftOut(key)) continue;
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

/** The value as JSON carries it; undefined if it does not, or the budget is used up. */
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

/** An error within the fields of another one. */
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

/** Stands round the length of a text, at the end of the part of it that was kept. */
export const CUT = { from: '… (', to: ' characters)' } as const;

export function clip(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}${CUT.from}${text.length}${CUT.to}`;
}

/** The value of a data property; undefined for a getter, which is not called. */
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

/** The name of the class whose instances have this prototype. */
function classNameOf(prototype: object | null): string | undefined {
  const maker = prototype === null ? undefined : dataAt(prototype, 'constructor');
  const name = typeof maker === 'function' ? dataAt(maker, 'name') : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
