/** I12: each wait is decided once: by one signal, of which the sender was told so, or by its time. */
import type { SignalAnswer } from '@umbel/core';
import { type Evidence, type Invariant, show, type Violation } from './evidence.js';

/** A signal that was sent, and its answer. */
interface Sending {
  readonly by: string;
  readonly answer: SignalAnswer;
}

interface Payload {
  readonly signalBy: string;
  readonly signalKey: string;
}

export const signals: Invariant = (evidence) => {
  const taken = payloadsOf(evidence);
  const late = timedOutWaits(evidence);
  const violations: Violation[] = [];
  for (const [key, sendings] of sendingsOf(evidence)) {
    const report = (message: string) =>
      violations.push({ invariant: 'I12', message: `wait ${key}: ${message}, answers ${show(sendings)}` });
    const winners = new Set(sendings.filter(({ answer }) => answer === 'accepted').map(({ by }) => by));
    const payloads = taken.get(key) ?? new Set();
    if (winners.size > 1) report('several signals were accepted');
    if (payloads.size > 1) report(`it took several payloads: ${[...payloads].join(', ')}`);
    const [winner] = winners;
    for (const by of payloads) {
      if (winner !== undefined && winner !== by) report(`it took the signal of ${by}, not that of ${winner}`);
      const lost = sendings.find((sending) => sending.by === by && sending.answer === 'tooLate');
      if (lost !== undefined) report(`it took the signal of ${by}, which was too late`);
    }
    const won = sendings.find(({ answer }) => answer !== 'tooLate');
    if (late.has(key) && won !== undefined)
      report(`it ended by its time, and the signal of ${won.by} is ${won.answer}`);
  }
  return violations;
};

/** The answers to all signals, by the key of their wait. */
function sendingsOf({ history, ledger }: Evidence): ReadonlyMap<string, readonly Sending[]> {
  const sendings = new Map<string, Sending[]>();
  for (const { event, ...sent } of [...history, ...ledger]) {
    if (event !== 'signalled') continue;
    const { key, by, answer } = sent as Partial<Sending & { key: string }>;
    if (key === undefined || by === undefined || answer === undefined) continue;
    const known = sendings.get(key);
    if (known === undefined) sendings.set(key, [{ by, answer }]);
    else known.push({ by, answer });
  }
  return sendings;
}

/** Who sent the signals that waits took, by the key of the wait: they are in the results of jobs after it. */
function payloadsOf({ store }: Evidence): ReadonlyMap<string, ReadonlySet<string>> {
  const taken = new Map<string, Set<string>>();
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { signalBy, signalKey } = value as Partial<Payload>;
    if (typeof signalBy === 'string' && typeof signalKey === 'string')
      taken.set(signalKey, (taken.get(signalKey) ?? new Set()).add(signalBy));
    for (const item of Object.values(value)) look(item);
  };
  for (const { result } of store.jobs) look(result);
  return taken;
}

/** The keys of the waits that ended by their time. The job of the wait is the parent of the job whose id is the key. */
function timedOutWaits({ store }: Evidence): ReadonlySet<string> {
  const late = new Set(
    store.jobs
      .filter(
        ({ name, state, result }) => name === 'umbel:wait' && state === 'completed' && !hasPayload(result),
      )
      .map(({ id }) => id),
  );
  return new Set(
    store.jobs.filter(({ parent }) => parent !== undefined && late.has(parent.id)).map(({ id }) => id),
  );
}

/** A value before the wait has no payload in it. */
function hasPayload(result: unknown): boolean {
  return (JSON.stringify(result) ?? '').includes('"signalBy"');
}
