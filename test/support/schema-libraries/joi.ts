import Joi from 'joi';
import type { Library } from './library.js';

const number = Joi.number().required();

export const joi: Library = {
  name: 'Joi',
  package: 'joi',
  ways: {
    input: 'a schema',
    asynchronous: '`.external(async …)`',
    stripped: '`.prefs({ stripUnknown: true })`',
    kept: '`.unknown()`',
    refused: '`Joi.object`',
    jsonSchema: 'the schema',
  },
  nested: Joi.object({
    l: Joi.array()
      .items(Joi.object({ b: number }))
      .required(),
  }).required(),
  asynchronous: Joi.object({
    name: Joi.string()
      .required()
      .external(async (name, { error }) => (name === 'taken' ? error('any.invalid') : name)),
  }).required(),
  keys: {
    byDefault: Joi.object({ a: number }).required(),
    stripped: Joi.object({ a: number }).prefs({ stripUnknown: true }).required(),
    kept: Joi.object({ a: number }).unknown().required(),
    refused: Joi.object({ a: number }).required(),
  },
  refusedBelow: Joi.object({ o: Joi.object({ a: number }).required() }).required(),
  fixedDefault: Joi.object({ size: Joi.number().default(1) }).required(),
  computedDefault: (next) => Joi.object({ id: Joi.string().default(() => next()) }).required(),
  codec: Joi.object({ at: Joi.date().iso().required() }).required(),
  number: Joi.object({ n: number }).required(),
  coerced: Joi.object({ n: number }).required(),
  union: Joi.object({ v: Joi.alternatives(Joi.string(), Joi.number()).required() }).required(),
  tagged: Joi.alternatives()
    .conditional('.kind', {
      switch: [
        // biome-ignore lint/suspicious/noThenProperty: Joi's name
        { is: 'mail', then: Joi.object({ kind: Joi.string(), to: Joi.string().required() }) },
        // biome-ignore lint/suspicious/noThenProperty: Joi's name
        { is: 'sms', then: Joi.object({ kind: Joi.string(), phone: number }) },
      ],
    })
    .required(),
  record: Joi.object().pattern(Joi.string(), number).required(),
  recursive: Joi.object({ value: number, children: Joi.array().items(Joi.link('#tree')).required() })
    .id('tree')
    .required(),
  described: Joi.object({
    text: Joi.string().required(),
    note: Joi.string(),
    size: Joi.number().default(1),
    at: Joi.date().iso().required(),
  }).required(),
};
