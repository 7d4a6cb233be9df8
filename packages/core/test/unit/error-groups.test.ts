/** What belongs to one group of errors. */
import { expect, test } from 'vitest';
import { ErrorGrouping, errorGroupId } from '../../src/ops/error-groups.js';

const stack = (...lines: string[]) => ['Error: no', ...lines.map((line) => `    at ${line}`)].join('\n');
const groupOf = (error: object) => errorGroupId({ name: 'Error', message: 'no', ...error });
const frameOf = (...lines: string[]) => {
  const grouping = new ErrorGrouping();
  const error = { name: 'Error', message: 'no', stack: stack(...lines) };
  grouping.add({ id: 'a', task: 't', failedAt: 1, error });
  return grouping.groups[0]?.frame;
};

test('the place is the topmost one of the user, wherever it is installed', () => {
  const foreign = [
    'node:internal/process/task_queues:95:5',
    'async node:internal/timers:5:1',
    'Socket.read (node:net:1:2)',
    'parse (/srv/app/node_modules/zod/index.js:3:4)',
    String.raw`parse (C:\app\node_modules\zod\index.js:3:4)`,
    'new Promise (<anonymous>)',
    'Array.map (native)',
    `${'('.repeat(5000)}:1:1`,
  ];
  expect(frameOf(...foreign)).toBeUndefined();
  expect(frameOf(...foreign, 'run (file:///srv/releases/81/mail/send.ts:12:9)')).toBe('mail/send.ts:12');
  expect(frameOf('async run (/home/ann/mail/send.ts?t=17:12:1)', 'other (/x/y.ts:1:1)')).toBe(
    'mail/send.ts:12',
  );
  expect(frameOf(String.raw`run (C:\apps\mail\send.ts:12:9)`)).toBe('mail/send.ts:12');
  expect(frameOf('async file:///srv/mail/send.ts:12:9')).toBe('mail/send.ts:12');
});

test('errors of one place are one group, unless their name or code differs', () => {
  const here = stack('run (/app/mail/send.ts:12:9)');
  const one = groupOf({ stack: here });
  expect(groupOf({ stack: here, message: 'quite another text' })).toBe(one);
  expect(groupOf({ stack: stack('run (/other/mail/send.ts:12:80)') })).toBe(one);
  for (const other of [{ name: 'TypeError' }, { code: 'E_1' }, { stack: stack('(/app/mail/send.ts:13:9)') }])
    expect(groupOf({ stack: here, ...other })).not.toBe(one);
});

test('without a place, numbers and ids in the message do not matter', () => {
  const one = groupOf({ message: 'user 17 is gone' });
  for (const message of ['user 18 is gone', 'user 0f8fad5b-d9cb-469f-a165-70867728950e is gone'])
    expect(groupOf({ message })).toBe(one);
  expect(groupOf({ message: 'user zV3kq81LwTn5xP0aB2cDe is gone\nat noon' })).toBe(one);
  expect(groupOf({ message: 'group 17 is gone' })).not.toBe(one);
  expect(groupOf({ message: 'a well-known-and-respected user' })).not.toBe(
    groupOf({ message: 'a well-known-and-forgotten user' }),
  );
});
