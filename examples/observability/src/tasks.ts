/** An app whose tasks are logged and traced, and the tasks. */
import { SpanKind } from '@opentelemetry/api';
import { chain, chord } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { tracing } from '@umbel/core/opentelemetry';
import { memory } from '@umbel/testing';
import { z } from 'zod';
import { createLogger, logging, outcomes } from './logging.js';
import { inSpan } from './spans.js';

const logger = createLogger();

export const app = createApp({
  name: 'observability',
  connection: process.env.UMBEL_URL || memory(),
  resultTtl: '10m',
  middleware: [tracing(), logging(logger)],
  hooks: outcomes(logger),
  logger, // what Umbel itself has to say, such as a lost connection
});

const CENTS: Readonly<Record<string, number>> = { lamp: 4900, desk: 18_900 };

/** Its first attempt always fails. */
export const fetchPrice = app.task({
  name: 'price.fetch',
  input: z.object({ product: z.string() }),
  output: z.object({ cents: z.number() }),
  retry: { attempts: 2, delay: '10ms' },
  run: ({ product }, ctx) =>
    inSpan('GET /prices', { kind: SpanKind.CLIENT, attributes: { product } }, async () => {
      await ctx.sleep('5ms');
      if (ctx.attempt === 1) throw new Error('the price service is busy');
      const cents = CENTS[product];
      if (cents === undefined) return ctx.reject(`there is no product "${product}"`);
      ctx.logger.info({ product, cents }, 'price fetched');
      return { cents };
    }),
});

const addTax = app.task({
  name: 'price.addTax',
  input: z.object({ cents: z.number() }),
  output: z.object({ cents: z.number() }),
  run: ({ cents }, ctx) =>
    inSpan('look up rate', {}, async (span) => {
      const rate = 0.2;
      span.setAttribute('rate', rate);
      ctx.logger.info({ rate }, 'tax added');
      return { cents: Math.round(cents * (1 + rate)) };
    }),
});

export const priceWithTax = chain(fetchPrice, addTax);

const total = app.task({
  name: 'price.total',
  input: z.array(z.object({ cents: z.number() })),
  run: async (prices) => prices.reduce((sum, { cents }) => sum + cents, 0),
});

/** The total of two prices, each with its tax: the join is linked to both. */
export const totalWithTax = chord([addTax.s({ cents: 4900 }), addTax.s({ cents: 18_900 })], total);

/** Sends a call of its own, in which the trace goes on; gives the id of its job. */
export const refreshPrice = app.task({
  name: 'price.refresh',
  input: z.object({ product: z.string() }),
  run: async (input, ctx) => (await fetchPrice.applyAsync(input, { parent: ctx })).id,
});
