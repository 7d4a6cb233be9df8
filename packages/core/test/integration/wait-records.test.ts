/** The record of a wait: whatever is decided first stands, whatever comes after it. */
import { expect, test } from 'vitest';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import {
  SIGNAL_QUEUE,
  type SignalPrimitives,
  signalPrimitivesOf,
} from '../../src/store/primitives/signals.js';

const KEPT_MS = 60_000;
const ADDRESS = { id: 'record', signal: 'decided', key: 'k' };

async function openWait(engine: Engine) {
  engine.app();
  await engine.bareQueue('umbel').add('wait', {}, { jobId: 'waiting', delay: 3_600_000 });
  const records = signalPrimitivesOf(engine.bareQueue(SIGNAL_QUEUE).getBackend()) as SignalPrimitives;
  const since = Date.now();
  const start = { ...ADDRESS, job: 'waiting', since, until: since + 3_600_000, isRestart: false };
  expect(await records.startWait(start)).toMatchObject({ kind: 'waiting' });
  return { records, start };
}

const signal = (token: string) => (records: SignalPrimitives) =>
  records.sendSignal({
    ...{ ...ADDRESS, token, payload: token, now: Date.now() },
    ...{ keepMs: KEPT_MS, endedMs: KEPT_MS },
  });
const end = (reason: 'timeout' | 'revoked' | 'gone') => (records: SignalPrimitives) =>
  records.endWait(ADDRESS.id, 'waiting', reason, KEPT_MS);

const DECISIONS = {
  'a signal': { decide: signal('first'), outcome: { kind: 'signalled', payload: 'first' } },
  'a timeout': { decide: end('timeout'), outcome: { kind: 'ended', reason: 'timeout' } },
  'a revocation': { decide: end('revoked'), outcome: { kind: 'ended', reason: 'revoked' } },
} as const;
const LATER = {
  'another signal': signal('second'),
  'a timeout': end('timeout'),
  'a revocation': end('revoked'),
  'the loss of its job': end('gone'),
} as const;
const PAIRS = Object.keys(DECISIONS).flatMap((first) => Object.keys(LATER).map((later) => [first, later]));

onEveryEngine('the record of a wait', (engine) => {
  test.each(PAIRS as [keyof typeof DECISIONS, keyof typeof LATER][])(
    'is decided by %s, whatever comes after it: %s',
    async (first, later) => {
      const { records, start } = await openWait(engine);
      const { decide, outcome } = DECISIONS[first];
      await decide(records);
      const answer = await LATER[later](records);
      if (later !== 'another signal') expect(answer).toMatchObject(outcome);
      else expect(answer).toMatchObject({ answer: first === 'a signal' ? 'duplicate' : 'tooLate' });
      // What the job finds when it starts again after its worker was lost.
      const found = await records.startWait({ ...start, since: start.since + 1, isRestart: true });
      expect(found).toMatchObject(outcome);
      if (found.kind === 'ended') expect(found).toMatchObject({ since: start.since, until: start.until });
    },
  );

  test('gives the repeated command of a sender its first answer', async () => {
    const { records } = await openWait(engine);
    expect(await signal('first')(records)).toMatchObject({ answer: 'accepted', job: 'waiting' });
    expect(await signal('first')(records)).toMatchObject({ answer: 'accepted', job: 'waiting' });
    expect(await signal('second')(records)).toMatchObject({ answer: 'duplicate' });
  });
});
