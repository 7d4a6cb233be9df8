import { sequence } from '@umbel/testing';
import { testApp } from '@umbel/testing/vitest';
import { expect, test } from 'vitest';
import { app, sendMail, signUp, welcome } from '../src/signup.js';

const email = 'ada@a.example';

test('a member is greeted at once, and asked after a week', async () => {
  const t = await testApp(app); // an engine of this test's own; closes itself
  await signUp(email); // calls that it makes arrive there
  expect(t).toHaveEnqueuedExactly([welcome, { email }]);

  await t.runUntilIdle(); // a week passes within milliseconds
  expect(t).toHaveEnqueued(sendMail, { to: email, subject: 'How is it?' }, { delay: '7d' });
  expect(t).toHaveRun(sendMail, { times: 2 });
  expect(t.now).toEqual(new Date('2030-01-08T00:00:00Z'));
});

test('signing up twice is one call', async () => {
  const t = await testApp(app);
  await signUp(email);
  await signUp(email);
  expect(t).toHaveEnqueued(welcome, { email }, { times: 1 });
});

test('a mail is sent again while the service fails', async () => {
  const t = await testApp(app);
  t.fake(sendMail, sequence(new Error('down'), new Error('down'), 'sent'));
  expect(await t.run(sendMail, { to: email, subject: 'Hello' })).toBe('sent');
  expect(t.timeline()).toMatchInlineSnapshot(`
    "+0ms       mail.send ✗ Error: down
    +1m        mail.send (attempt 2) ✗ Error: down
    +3m        mail.send (attempt 3) → "sent""
  `);
});

test('a worker that is killed greets nobody twice', async () => {
  const t = await testApp(app);
  t.crashWorker({ at: 'after-handler', task: welcome });
  await signUp(email);
  await t.runUntilIdle();
  expect(t).toHaveRun(welcome, { times: 2 });
  expect(t).toHaveEnqueued(sendMail, { subject: 'How is it?' }, { times: 1 });
});

test('a handler alone', async () => {
  const t = await testApp(app);
  expect(await t.perform(sendMail, { to: email, subject: 'Hi' })).toBe('"Hi" to ada@a.example');
});
