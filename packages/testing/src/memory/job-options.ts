import { type JobsOptions, optsEncodeMap } from 'bullmq';

/** A job's options as the store holds them: plain JSON data of its own, without absent values. */
export interface StoredOptions {
  readonly values: JobsOptions;
  /** No value is an object that could be changed, so a shallow copy shares nothing. */
  readonly flat: boolean;
}

let previous: StoredOptions = { values: {}, flat: true };

/** The options a producer passed, cut loose from the producer's objects. */
export function storeOptions(opts: JobsOptions | undefined): StoredOptions {
  const stored = detached(opts);
  // Most producers add many jobs with the same options: one copy, which nobody changes, serves them all.
  if (!stored.flat || !sameValues(stored.values, previous.values)) previous = stored;
  return previous;
}

function sameValues(a: object, b: object): boolean {
  const [left, right] = [Object.entries(a), Object.entries(b)];
  return (
    left.length === right.length &&
    left.every(([name, value], at) => right[at]?.[0] === name && right[at]?.[1] === value)
  );
}

function detached(opts: JobsOptions | undefined): StoredOptions {
  const values: Record<string, unknown> = {};
  let flat = true;
  for (const [name, value] of Object.entries(opts ?? {})) {
    const kept = name === 'telemetry' ? telemetryFields(value) : value;
    if (kept === undefined || kept === null || typeof kept === 'function') continue;
    if (typeof kept !== 'object' || isFixed(kept)) {
      values[name] = kept;
    } else {
      flat = false;
      values[name] = plain(kept);
    }
  }
  return { values, flat };
}

/** Whether it can be kept as it is: nobody can change it, and JSON would not. */
function isFixed(value: object): boolean {
  return (
    Object.isFrozen(value) &&
    Object.getPrototypeOf(value) === Object.prototype &&
    Object.values(value).every(
      (inner) => typeof inner === 'string' || typeof inner === 'boolean' || Number.isFinite(inner),
    )
  );
}

/** A fresh copy of stored options. */
export function readOptions(stored: StoredOptions): JobsOptions {
  return stored.flat ? { ...stored.values } : (copy(stored.values) as JobsOptions);
}

/** Stored options with some values replaced. */
export function withOptions(stored: StoredOptions, changes: JobsOptions): StoredOptions {
  return { values: { ...stored.values, ...changes }, flat: stored.flat };
}

const SHORT_NAMES: Readonly<Record<string, string>> = optsEncodeMap;

/** The JSON text in which BullMQ keeps a scheduler's template options, with its abbreviated names. */
export function encodeOptions(opts: JobsOptions | undefined): string {
  const encoded: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(storeOptions(opts).values)) {
    if (name === 'telemetry') {
      const { metadata, omitContext } = value as { metadata?: string; omitContext?: boolean };
      if (metadata !== undefined) encoded.tm = metadata;
      if (omitContext !== undefined) encoded.omc = omitContext;
    } else {
      encoded[SHORT_NAMES[name] ?? name] = value;
    }
  }
  return JSON.stringify(encoded);
}

// BullMQ stores these two fields of the telemetry option and nothing else of it.
function telemetryFields(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { metadata, omitContext } = value as { metadata?: unknown; omitContext?: unknown };
  if (metadata === undefined && omitContext === undefined) return undefined;
  return {
    ...(metadata === undefined ? {} : { metadata }),
    ...(omitContext === undefined ? {} : { omitContext }),
  };
}

// On its way to Redis an absent value inside an object disappears.
function plain(value: object): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner: unknown) => (inner === null ? undefined : inner)),
  ) as unknown;
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  const result: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) result[name] = copy(inner);
  return result;
}
