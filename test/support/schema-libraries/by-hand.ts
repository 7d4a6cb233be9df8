import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Library } from './library.js';

type Values = Readonly<Record<string, unknown>>;

class Refused extends Error {
  constructor(
    message: string,
    readonly path: readonly PropertyKey[] = [],
  ) {
    super(message);
  }
}

/** A Standard Schema of a function that returns the decoded value, or throws `Refused`. */
function schemaOf<Out>(decode: (value: unknown) => Out | Promise<Out>): StandardSchemaV1<unknown, Out> {
  const refusal = (error: unknown) => {
    if (!(error instanceof Refused)) throw error;
    return { issues: [{ path: error.path, message: error.message }] };
  };
  return {
    '~standard': {
      version: 1,
      vendor: 'by hand',
      validate: (value) => {
        try {
          const decoded = decode(value);
          return decoded instanceof Promise
            ? decoded.then((out) => ({ value: out }), refusal)
            : { value: decoded };
        } catch (error) {
          return refusal(error);
        }
      },
    },
  };
}

function object(value: unknown, path: readonly PropertyKey[] = []): Values {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Values;
  throw new Refused('is no object', path);
}

function number(value: unknown, path: readonly PropertyKey[]): number {
  if (typeof value === 'number') return value;
  throw new Refused('is no number', path);
}

function text(value: unknown, path: readonly PropertyKey[]): string {
  if (typeof value === 'string') return value;
  throw new Refused('is no text', path);
}

function list(value: unknown, path: readonly PropertyKey[]): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Refused('is no list', path);
}

function tree(value: unknown, path: readonly PropertyKey[] = []): object {
  const { value: own, children } = object(value, path);
  const below = list(children, [...path, 'children']);
  return {
    value: number(own, [...path, 'value']),
    children: below.map((child, index) => tree(child, [...path, 'children', index])),
  };
}

function exactly(value: Values, names: readonly string[], path: readonly PropertyKey[] = []): Values {
  const extra = Object.keys(value).find((key) => !names.includes(key));
  if (extra === undefined) return value;
  throw new Refused('is unknown', [...path, extra]);
}

const stripped = schemaOf((value) => ({ a: number(object(value).a, ['a']) }));
const plainNumber = schemaOf((value) => ({ n: number(object(value).n, ['n']) }));

export const byHand: Library = {
  name: 'by hand',
  package: undefined,
  ways: {
    input: 'a schema',
    asynchronous: 'a promise',
    stripped: 'as written',
    kept: 'as written',
    refused: 'as written',
  },
  nested: schemaOf((value) => ({
    l: list(object(value).l, ['l']).map((item, index) => ({
      b: number(object(item, ['l', index]).b, ['l', index, 'b']),
    })),
  })),
  asynchronous: schemaOf(async (value) => {
    if (object(value).name === 'taken') throw new Refused('is taken', ['name']);
    return value;
  }),
  keys: {
    byDefault: stripped,
    stripped,
    kept: schemaOf((value) => ({ ...object(value), a: number(object(value).a, ['a']) })),
    refused: schemaOf((value) => ({ a: number(exactly(object(value), ['a']).a, ['a']) })),
  },
  refusedBelow: schemaOf((value) => {
    const { o } = exactly(object(value), ['o']);
    return { o: { a: number(exactly(object(o, ['o']), ['a'], ['o']).a, ['o', 'a']) } };
  }),
  fixedDefault: schemaOf((value) => ({ size: number(object(value).size ?? 1, ['size']) })),
  computedDefault: (next) => schemaOf((value) => ({ id: text(object(value).id ?? next(), ['id']) })),
  codec: schemaOf((value) => ({ at: new Date(text(object(value).at, ['at'])) })),
  number: plainNumber,
  coerced: schemaOf((value) => ({ n: number(Number(object(value).n), ['n']) })),
  union: schemaOf((value) => {
    const { v } = object(value);
    return { v: typeof v === 'number' ? v : text(v, ['v']) };
  }),
  tagged: schemaOf((value) => {
    const { kind, to, phone } = object(value);
    return kind === 'mail'
      ? { kind, to: text(to, ['to']) }
      : { kind: 'sms', phone: number(phone, ['phone']) };
  }),
  record: schemaOf((value) => {
    for (const [key, item] of Object.entries(object(value))) number(item, [key]);
    return value;
  }),
  recursive: schemaOf((value) => tree(value)),
  readonly: schemaOf((value) => ({ list: Object.freeze([...list(object(value).list, ['list'])]) })),
};
