import { type AsyncResult, createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

export const app = createApp({ name: 'testing', connection: process.env.UMBEL_URL || memory() });

/** Calls the mail service of another company. */
export const sendMail = app.task({
  name: 'mail.send',
  input: z.object({ to: z.string(), subject: z.string() }),
  retry: { attempts: 5, delay: '1m', jitter: false },
  run: async ({ to, subject }) => `"${subject}" to ${to}`,
});

/** A member is greeted at once, and asked after a week how it goes. */
export const welcome = app.task({
  name: 'member.welcome',
  input: z.object({ email: z.string() }),
  run: async ({ email: to }, ctx) => {
    // With keys, since a handler runs again when its worker is killed: nobody is to be greeted twice.
    const key = (of: string) => ({ parent: ctx, idempotencyKey: `${ctx.id} ${of}` });
    await sendMail.applyAsync({ to, subject: 'Welcome' }, key('welcome'));
    await sendMail.applyAsync({ to, subject: 'How is it?' }, { ...key('week'), countdown: '7d' });
    return `${to} is greeted`;
  },
});

/** What a route of a web server would call. It knows nothing of tests. */
export async function signUp(email: string): Promise<AsyncResult<string>> {
  if (!email.includes('@')) throw new RangeError(`"${email}" is no address`);
  return welcome.applyAsync({ email }, { idempotencyKey: email }); // the same member is greeted once
}
