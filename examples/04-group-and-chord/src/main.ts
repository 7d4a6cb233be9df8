import { chain, chord, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

const app = createApp({ name: 'group-and-chord', connection: process.env.UMBEL_URL || memory() });

const PRICES: Readonly<Record<string, number>> = { north: 420, south: 380, east: 510 };

const askPrice = app.task({
  name: 'shop.askPrice',
  input: z.object({ shop: z.string(), product: z.string() }),
  run: async ({ shop, product }) => ({ shop, cents: (PRICES[shop] ?? 0) + product.length }),
});

const askReviews = app.task({
  name: 'reviews.ask',
  input: z.object({ product: z.string() }),
  run: async ({ product }) => ({ stars: product === 'lamp' ? 4.5 : 3 }),
});

const cheapest = app.task({
  name: 'shop.cheapest',
  input: z.array(z.object({ shop: z.string(), cents: z.int() })),
  run: async (offers) => offers.toSorted((a, b) => a.cents - b.cents)[0] ?? null,
});

const advise = app.task({
  name: 'advise',
  input: z.object({
    offer: z.object({ shop: z.string(), cents: z.int() }).nullable(),
    reviews: z.object({ stars: z.number() }),
  }),
  run: async ({ offer, reviews }) =>
    offer === null
      ? 'nobody sells it'
      : `buy in the ${offer.shop} for ${offer.cents}: ${reviews.stars} stars`,
});

await app.worker().start();

// A list gives a list, in the order in which it is written.
const offers = group([askPrice.s({ shop: 'north' }), askPrice.s({ shop: 'south' })]);
console.log(await (await offers.delay({ product: 'lamp' })).get());

// A record gives a record with the same keys.
const both = group({ south: askPrice.s({ shop: 'south' }), reviews: askReviews });
console.log(await (await both.delay({ product: 'desk' })).get());

// A chord is a group and one step that receives all results.
const compare = chord(
  Object.keys(PRICES).map((shop) => askPrice.s({ shop })),
  cheapest,
);
console.log(await (await compare.delay({ product: 'lamp' })).get());

// They nest: the chord is a member of a group, whose record fills the keys of the last step.
const advice = chain(group({ offer: compare, reviews: askReviews }), advise);
const run = await advice.delay({ product: 'lamp' });
console.log(await run.get());
const { total, completed } = await run.counts();
console.log(`${completed} of ${total} tasks have run`);

await app.close();
