import { chain, sleep, waitFor } from '@umbel/canvas';
import { z } from 'zod';
import { app, Decision, decided, links, publicUrl } from './app.js';

export const Expense = z.object({
  id: z.string().min(1),
  what: z.string().min(1),
  amount: z.number().positive(),
  approver: z.email(),
});
export type Expense = z.infer<typeof Expense>;

export const sendMail = app.task({
  name: 'mail.send',
  input: z.object({ to: z.string(), subject: z.string(), lines: z.array(z.string()) }),
  retry: { attempts: 5, delay: '1m' },
  run: async ({ to, subject, lines }) => {
    console.log([`To ${to}: ${subject}`, ...lines].join('\n')); // a mail service in production
  },
});

/** One link for each decision. Each can send that decision for that expense, and nothing else. */
function decisionLinks({ id, approver }: Expense): string[] {
  const link = (ok: boolean) =>
    links.link(`${publicUrl}/decide`, decided, id, { expires: '7d', payload: { by: approver, ok } });
  return [`approve: ${link(true)}`, `reject: ${link(false)}`];
}

/** Sends a mail after two days, unless the workflow no longer waits by then. */
export const remind = app.task({
  name: 'expense.remind',
  input: Expense,
  run: async (expense, ctx) => {
    const { items } = await app.signals.waiting({ name: decided.name, key: expense.id });
    if (items.length === 0) return 'decided';
    await sendMail.applyAsync(
      { to: expense.approver, subject: `Reminder: ${expense.what}`, lines: decisionLinks(expense) },
      { idempotencyKey: ctx.idempotencyKey },
    );
    return 'reminded';
  },
});
const reminder = chain(sleep<Expense>('2d'), remind);

const ask = app.task({
  name: 'expense.ask',
  input: Expense,
  run: async (expense, ctx) => {
    const subject = `${expense.what} for ${expense.amount}`;
    await sendMail.applyAsync(
      { to: expense.approver, subject, lines: decisionLinks(expense) },
      { idempotencyKey: `${ctx.idempotencyKey} mail` }, // a repeated attempt sends nothing twice
    );
    await reminder.applyAsync(expense, { idempotencyKey: `${ctx.idempotencyKey} reminder` });
    return expense;
  },
});

export const book = app.task({
  name: 'expense.book',
  input: Expense.extend({ decision: Decision }),
  run: async ({ id, decision }) => `${id}: ${decision.ok ? 'paid' : 'rejected'}, decided by ${decision.by}`,
});

/** Asks, waits for up to a week without occupying a worker, and books what was decided. */
export const approval = chain(
  ask,
  waitFor(decided, {
    key: 'id',
    timeout: '7d',
    onTimeout: { by: 'nobody', ok: false },
    into: 'decision',
  }),
  book,
);
