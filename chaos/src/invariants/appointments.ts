/** Appointed calls start when they are due by the store's clock, whatever the clocks of senders and workers say. */
import type { Invariant } from './evidence.js';

/** How far the store's time may be misjudged: half of a round trip, on a machine that has other work. */
const MEASURED_MS = 250;
/** Beside lock and sweeps, until a call that is due has started. */
const WORK_MS = 30_000;

export const appointments: Invariant = ({ workflows, lockMs, recoveries }) =>
  workflows.flatMap(({ index, run, appointment, entries, final }) => {
    if (appointment === undefined || run === undefined) return [];
    const { countdownMs, submittedAt, acknowledgedAt = submittedAt } = appointment;
    const messages: string[] = [];
    if (final?.state !== 'completed') messages.push(`a call with a countdown is ${final?.state ?? 'gone'}`);
    const startedAt = entries.find(({ event }) => event === 'start')?.at;
    if (startedAt !== undefined) {
      const early = submittedAt + countdownMs - startedAt;
      const late = startedAt - (acknowledgedAt + countdownMs);
      if (early > MEASURED_MS) messages.push(`it started ${early} ms before it was due`);
      if (late > recoveries * 3 * lockMs + WORK_MS) messages.push(`it started ${late} ms after it was due`);
    }
    return messages.map((message) => ({ invariant: 'appointments', workflow: index, run, message }));
  });
