import { scope, type } from 'arktype';
import type { Library } from './library.js';

const { tree } = scope({ tree: { value: 'number', children: 'tree[]' } }).export();

export const arktype: Library = {
  name: 'arktype',
  package: 'arktype',
  ways: {
    input: 'a schema',
    stripped: "`'+': 'delete'`",
    kept: '`type({ … })`',
    refused: "`'+': 'reject'`",
    jsonSchema: 'the schema',
  },
  nested: type({ l: type({ b: 'number' }).array() }),
  keys: {
    byDefault: type({ a: 'number' }),
    stripped: type({ '+': 'delete', a: 'number' }),
    kept: type({ a: 'number' }),
    refused: type({ '+': 'reject', a: 'number' }),
  },
  refusedBelow: type({ o: { a: 'number' } }).onDeepUndeclaredKey('reject'),
  fixedDefault: type({ size: 'number = 1' }),
  computedDefault: (next) => type({ id: type('string').default(next) }),
  codec: type({ at: 'string.date.iso.parse' }),
  number: type({ n: 'number' }),
  coerced: type({ n: 'string.numeric.parse | number' }),
  union: type({ v: 'string | number' }),
  tagged: type({ kind: "'mail'", to: 'string' }).or({ kind: "'sms'", phone: 'number' }),
  record: type({ '[string]': 'number' }),
  recursive: tree,
  readonly: type({ list: type('string[]').readonly() }),
  branded: type({ id: 'string#id' }),
  described: type({ text: 'string', 'note?': 'string', size: 'number = 1', at: 'string.date.iso.parse' }),
};
