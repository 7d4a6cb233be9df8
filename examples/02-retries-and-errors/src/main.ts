import { TaskFailedError } from '@umbel/core';
import { app, charge, parseRate, statement } from './tasks.js';

await app.worker().start();

async function pay(card: string, cents: number): Promise<string> {
  const outcome = await (await charge.delay({ card, cents })).outcome();
  if (outcome.ok) return `receipt ${outcome.value.receipt} after ${outcome.value.attempts} attempts`;
  switch (outcome.failure) {
    case 'declined':
      return `declined: at most ${outcome.data.limit} cents`;
    case 'no-such-card':
      return 'there is no such card';
    case undefined: // nothing that the task has declared
      return `failed: ${outcome.error.message}`;
  }
}

console.log('a good card:', await pay('ada', 1200));
console.log('too much:', await pay('bob', 99_900));
console.log('a stolen card:', await pay('stolen', 100));

const late = await (await statement.delay()).outcome();
console.log('too slow:', late.ok ? late.value : late.error.cause.message);

const rate = await parseRate.delay({ text: '1,17' });
try {
  await rate.get();
} catch (error) {
  if (!(error instanceof TaskFailedError)) throw error;
  const { attempts } = await rate.info();
  console.log(`${error.task} failed in attempt ${attempts} with a ${error.cause.name}`);
}

// It has failed for good, and waits as a dead letter until somebody mends it.
const letter = await app.deadLetters.get(rate.id);
console.log('dead letter:', letter.input);
await app.deadLetters.replay(rate.id, { input: { text: '1.17' } });
console.log('mended:', await rate.get());

await app.close();
