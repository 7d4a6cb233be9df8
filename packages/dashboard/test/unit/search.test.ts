/** Search texts: what core searches for, and what is compared. */
import { InvalidOptionError, type ListedJob } from '@umbel/core';
import { expect, test } from 'vitest';
import { findPage, parseSearch } from '../../src/search.js';

const now = new Date('2030-01-02T00:00:00Z');
const job = (fields: Partial<ListedJob> = {}): ListedJob => ({
  ...{ id: 'j-1', task: 'mail.send', displayName: 'mail.send', queue: 'mail', attempts: 0, enqueuedAt: now },
  ...{ headers: {}, rootId: 'j-1', state: 'failed', tags: ['acme'], reason: 'Timeout after 3 s' },
  ...fields,
});
const matches = (text: string, fields?: Partial<ListedJob>) =>
  parseSearch(text, { now, isIndexed: false }).matches(job(fields));

test('core searches for single exact values, and for times', () => {
  expect(
    parseSearch('state:failed state:expired task:mail.send tag:acme after:2h before:2030-01-31', {
      now,
      isIndexed: false,
    }),
  ).toMatchObject({
    isCompared: false,
    filter: {
      state: ['failed', 'expired'],
      task: 'mail.send',
      tag: 'acme',
      since: new Date('2030-01-01T22:00:00Z'),
      until: new Date('2030-01-31'),
    },
  });
  expect(parseSearch('', { now, isIndexed: false })).toMatchObject({ filter: {}, isCompared: false });
  expect(parseSearch('task:mail.*', { now, isIndexed: false })).toMatchObject({
    filter: { task: 'mail.*' },
    isCompared: false,
  });
  expect(parseSearch('task:a task:b -queue:c', { now, isIndexed: false })).toMatchObject({
    filter: {},
    isCompared: true,
  });
  expect(parseSearch('state:late', { now, isIndexed: false })).toMatchObject({
    filter: { state: ['delayed', 'waiting'], condition: 'late' },
    isCompared: false,
  });
  const two = parseSearch('state:stuck state:failed', { now, isIndexed: false });
  expect(two).toMatchObject({ filter: { state: ['active', 'failed'] }, isCompared: true });
  expect(two.filter.condition).toBeUndefined();
});

test('the rest is compared', () => {
  const cases: readonly (readonly [text: string, isMatch: boolean, fields?: Partial<ListedJob>])[] = [
    ['task:*.send', true],
    ['task:m*l.s*d', true],
    ['task:mail.s*send', false],
    ['task:*', true],
    ['task:sms.* task:mail.*', true],
    ['-task:mail.*', false],
    ['-task:sms.*', true],
    ['task:sms.* task:ping', false],
    ['-tag:acme', false],
    ['tag:ac*', true],
    ['error:timeout', true],
    ['error:Timeout', true],
    ['task:mail.* task:a', true],
    ['error:timeout -error:"3 s"', false],
    ['id:j-', true],
    ['id:-1', false],
    ['TIMEOUT acme', true],
    ['timeout nothing', false],
    ['"after 3"', true],
    ['-state:retrying', false, { state: 'delayed', conditions: ['retrying'] }],
    ['-state:retrying', true, { state: 'delayed' }],
    ['state:late state:failed', true, { state: 'waiting', conditions: ['late'] }],
    ['state:late state:failed', false, { state: 'waiting' }],
    ['state:stuck state:late', true, { state: 'active', conditions: ['stuck'] }],
    ['-state:failed', false],
  ];
  for (const [text, isMatch, fields] of cases)
    expect({ text, isMatch: matches(text, fields) }).toEqual({ text, isMatch });
});

test('names of errors are searched by core if the app has an index of them', () => {
  const searched = (text: string) => parseSearch(text, { now, isIndexed: true });
  expect(searched('error:Timeout')).toMatchObject({ filter: { error: 'Timeout' }, isCompared: false });
  for (const text of ['error:timeout', 'error:"Timeout"', '-error:Timeout', 'error:A error:B', 'error:3']) {
    expect(searched(text).filter.error).toBeUndefined();
    expect(searched(text).isCompared).toBe(true);
  }
});

test('unknown qualifiers and times are refused, an address is text', () => {
  for (const text of ['owner:ann', 'after:yesterday', 'before:soon', 'x'.repeat(2001)])
    expect(() => parseSearch(text, { now, isIndexed: false })).toThrow(InvalidOptionError);
  expect(matches('https://a.example', { reason: 'GET https://a.example failed' })).toBe(true);
});

test('one answer reads a bounded number of pages', async () => {
  let pages = 0;
  const search = parseSearch('task:none*', { now, isIndexed: false });
  const list = async () => {
    pages += 1;
    return { items: [job()], cursor: `${pages}`, read: 200 };
  };
  const page = await findPage(search, undefined, list, () => 0);
  expect({ page, pages }).toEqual({ page: { items: [], cursor: '25', read: 5000 }, pages: 25 });
});

test('an answer ends with what it has found when its time is over', async () => {
  let now = 0;
  const budgets: number[] = [];
  const search = parseSearch('task:mail*', { now: new Date(0), isIndexed: false });
  const list = async ({ timeBudget }: { timeBudget: number }) => {
    budgets.push(timeBudget);
    now += 60;
    return { items: [job()], cursor: `${budgets.length}`, read: 200 };
  };
  const page = await findPage(search, undefined, list, () => now);
  expect(page).toMatchObject({ cursor: '2', read: 400 });
  expect(page.items).toHaveLength(2);
  expect(budgets).toEqual([100, 40]);
});
