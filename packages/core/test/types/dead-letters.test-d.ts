/** What the dead letters take and give. */
import {
  createApp,
  type DeadLetter,
  type DeadLetterDetails,
  type DiscardCounts,
  type ErrorRecord,
  type ReplayCounts,
} from '@umbel/core';
import { expectTypeOf, test } from 'vitest';

const { deadLetters } = createApp({ name: 'letters' });

test('a list takes filters and the cursor of a letter, and gives letters', () => {
  expectTypeOf(deadLetters.list()).resolves.toEqualTypeOf<DeadLetter[]>();
  const [last] = [] as DeadLetter[];
  const filters = { queue: 'q', task: 't', error: 'E', tag: 'red', since: new Date(), until: new Date() };
  deadLetters.list({ ...filters, state: 'expired', limit: 5, offset: 5, cursor: last?.cursor });
  // @ts-expect-error a job that runs is no dead letter
  deadLetters.list({ state: 'active' });
  // @ts-expect-error a moment is a Date
  deadLetters.list({ since: '1h' });
  // @ts-expect-error it is called `tag`
  deadLetters.list({ tags: ['red'] });
});

test('one tells its input as unknown, its error and its times', () => {
  expectTypeOf(deadLetters.get('id')).resolves.toEqualTypeOf<DeadLetterDetails>();
  expectTypeOf<DeadLetterDetails['input']>().toEqualTypeOf<unknown>();
  expectTypeOf<DeadLetterDetails['error']>().toEqualTypeOf<ErrorRecord>();
  expectTypeOf<DeadLetterDetails['timeline']['startedAt']>().toEqualTypeOf<Date | undefined>();
  expectTypeOf<DeadLetterDetails['whyNot']>().toEqualTypeOf<string | undefined>();
});

test('a replay takes an input or an edit of it', () => {
  expectTypeOf(deadLetters.replay('id')).resolves.toEqualTypeOf<void>();
  deadLetters.replay('id', { input: { cents: 1 } });
  deadLetters.replay('id', {
    edit: (input) => {
      expectTypeOf(input).toEqualTypeOf<unknown>();
      return 1;
    },
  });
  // @ts-expect-error one job is not replayed in part
  deadLetters.replay('id', { limit: 1 });
});

test('many take a filter, never nothing, and give counts', () => {
  const edit = (input: unknown, letter: DeadLetter) => [input, letter.task];
  expectTypeOf(
    deadLetters.replayMany({}, { edit, limit: 5, dryRun: true }),
  ).resolves.toEqualTypeOf<ReplayCounts>();
  expectTypeOf(deadLetters.discardMany({ task: 't' })).resolves.toEqualTypeOf<DiscardCounts>();
  // @ts-expect-error all of them are meant only by an empty filter
  deadLetters.discardMany();
  // @ts-expect-error the limit is no filter
  deadLetters.replayMany({ limit: 5 });
  // @ts-expect-error nothing is edited that is removed
  deadLetters.discardMany({}, { edit });
});
