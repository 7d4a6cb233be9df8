import * as yup from 'yup';
import type { Library } from './library.js';

const number = yup.number().required();

interface Tree {
  value: number;
  children: Tree[];
}
const tree: yup.ISchema<Tree> = yup.lazy(() =>
  yup.object({ value: number, children: yup.array(tree).required() }),
);

/** A schema for each key of an object. */
const record = yup.lazy((value: Readonly<Record<string, unknown>>) =>
  yup.object(Object.fromEntries(Object.keys(value).map((key) => [key, number]))),
);

export const yupLibrary: Library = {
  name: 'yup',
  package: 'yup',
  ways: {
    input: 'a schema',
    asynchronous: '`.test(async …)`',
    stripped: '`.noUnknown()`',
    kept: '`yup.object`',
    refused: '`.exact()`',
  },
  nested: yup.object({ l: yup.array(yup.object({ b: number })).required() }),
  asynchronous: yup.object({
    name: yup
      .string()
      .required()
      .test('free', 'is taken', async (name) => name !== 'taken'),
  }),
  keys: {
    byDefault: yup.object({ a: number }),
    stripped: yup.object({ a: number }).noUnknown(),
    kept: yup.object({ a: number }),
    refused: yup.object({ a: number }).exact(),
  },
  refusedBelow: yup.object({ o: yup.object({ a: number }).exact() }).exact(),
  fixedDefault: yup.object({ size: yup.number().default(1) }),
  computedDefault: (next) => yup.object({ id: yup.string().default(next) }),
  codec: yup.object({ at: yup.date().required() }),
  number: yup.object({ n: number }),
  coerced: yup.object({ n: number }),
  union: yup.object({
    v: yup.lazy((value) => (typeof value === 'number' ? number : yup.string().strict().required())),
  }),
  tagged: yup.lazy((value: { kind?: unknown }) =>
    value?.kind === 'mail'
      ? yup.object({ kind: yup.string().oneOf(['mail']).required(), to: yup.string().required() })
      : yup.object({ kind: yup.string().oneOf(['sms']).required(), phone: number }),
  ),
  record,
  recursive: tree as never,
};
