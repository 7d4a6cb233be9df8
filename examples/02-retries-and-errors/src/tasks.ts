import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

export const app = createApp({ name: 'payments', connection: process.env.UMBEL_URL || memory() });

class TooManyRequests extends Error {
  override readonly name = 'TooManyRequests';
  readonly retryAfterMs = 20;
}

/** Retried, unless the card is what is wrong: that is a failure with a name, and with data for the caller. */
export const charge = app.task({
  name: 'payment.charge',
  input: z.object({ card: z.string(), cents: z.int().positive() }),
  failures: { declined: z.object({ limit: z.int() }), 'no-such-card': z.undefined() },
  retry: {
    attempts: 4,
    backoff: (attempt, error) => (error instanceof TooManyRequests ? error.retryAfterMs : attempt * 10),
  },
  run: async ({ card, cents }, ctx) => {
    if (card === 'stolen') return ctx.fail('no-such-card');
    if (cents > 50_000) return ctx.fail('declined', { limit: 50_000 });
    if (ctx.attempt < 3) throw new TooManyRequests('the bank is busy');
    return { receipt: `${card}-${cents}`, attempts: ctx.attempt };
  },
});

/** Ends by itself when its time is over, since it heeds the signal. */
export const statement = app.task({
  name: 'payment.statement',
  timeout: '50ms',
  retry: { attempts: 2, delay: '10ms' },
  run: async (_, ctx) => {
    await ctx.sleep('1h'); // ends early when `ctx.signal` is aborted
    return 'statement.pdf';
  },
});

/** What no further attempt would mend is not tried again. It is kept as a dead letter, as all that fails for good. */
export const parseRate = app.task({
  name: 'payment.parseRate',
  input: z.object({ text: z.string() }),
  retry: { attempts: 4, on: (error) => !(error instanceof SyntaxError) },
  run: async ({ text }) => JSON.parse(text) as number,
});
