/** The workflow in virtual time: days pass in milliseconds, and no server runs. */
import { testApp } from '@umbel/testing/vitest';
import { expect, test } from 'vitest';
import { app, decided } from '../src/app.js';
import { routes } from '../src/server.js';
import { approval, book, type Expense, remind, sendMail } from '../src/workflow.js';

const expense: Expense = { id: 'exp-17', what: 'A chair', amount: 120, approver: 'ann@shop.example' };

/** An engine of the test, with the mails that were sent. */
async function start() {
  const t = await testApp(app);
  const mails: { subject: string; lines: string[] }[] = [];
  t.fake(sendMail, (mail) => void mails.push(mail));
  const request = (address: string, method = 'GET') =>
    t.within(async () => routes.request(new URL(address, 'http://127.0.0.1:3000').href, { method }));
  return { t, mails, request };
}

const linkIn = (mail: { lines: string[] } | undefined, decision: 'approve' | 'reject') =>
  mail?.lines.find((line) => line.startsWith(decision))?.slice(`${decision}: `.length) ?? '';

test('the link of the first mail decides, and nobody is reminded', async () => {
  const { t, mails, request } = await start();
  const run = await t.start(approval, expense);
  expect(await t.waiting()).toMatchObject([{ name: 'expense.decided', key: 'exp-17' }]);
  expect(mails.map(({ subject }) => subject)).toEqual(['A chair for 120']);
  const link = linkIn(mails[0], 'approve');
  const shown = await request(link); // what a program that scans mails does
  expect([shown.status, await t.waiting()]).toMatchObject([200, [{ key: 'exp-17' }]]);
  expect((await request(link, 'POST')).status).toBe(200);
  expect(await run.get()).toBe('exp-17: paid, decided by ann@shop.example');
  expect((await request(link, 'POST')).status).toBe(409);
  await t.runUntilIdle();
  expect(t).toHaveRun(remind, { times: 1 });
  expect(mails).toHaveLength(1);
});

test('a reminder is sent after two days, and its link decides too', async () => {
  const { t, mails, request } = await start();
  const run = await t.start(approval, expense);
  await t.advance('47h');
  expect(mails).toHaveLength(1);
  await t.advance('1h');
  expect(mails.map(({ subject }) => subject)).toEqual(['A chair for 120', 'Reminder: A chair']);
  expect((await request(linkIn(mails[1], 'reject'), 'POST')).status).toBe(200);
  expect(await run.get()).toBe('exp-17: rejected, decided by ann@shop.example');
  expect(t.now).toEqual(new Date('2030-01-03T00:00:00Z'));
});

test('after a week the expense is rejected, and links are too late', async () => {
  const { t, mails, request } = await start();
  const run = await t.start(approval, expense);
  expect(await run.get()).toBe('exp-17: rejected, decided by nobody');
  expect(t.now).toEqual(new Date('2030-01-08T00:00:00Z'));
  expect((await request(linkIn(mails[0], 'approve'), 'POST')).status).toBe(410);
  expect(t).toHaveRun(book, { times: 1 });
});

test('a decision of a program is checked, and the first one counts', async () => {
  const { t } = await start();
  const run = await t.start(approval, expense);
  await t.waiting();
  // @ts-expect-error `ok` is missing
  await expect(t.signal(decided, 'exp-17', { by: 'bob' })).rejects.toThrow('payload.ok');
  expect(await t.signal(decided, 'exp-17', { by: 'bob', ok: true })).toBe('accepted');
  expect(await t.signal(decided, 'exp-17', { by: 'eve', ok: false })).toBe('duplicate');
  expect(await run.get()).toBe('exp-17: paid, decided by bob');
});
