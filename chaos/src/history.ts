/** What the driver did and saw, as it happened: one line of JSON each. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SignalAnswer } from '@umbel/core';

/** A fault hits one process, or the store and so every process. */
type FaultTarget = { readonly pid: number } | 'store';

export type HistoryEvent =
  | { readonly event: 'submit'; readonly workflow: number; readonly key: string | undefined }
  | { readonly event: 'acknowledged'; readonly workflow: number; readonly run: string }
  | { readonly event: 'rejected'; readonly workflow: number; readonly error: string }
  /** `since` the fault lasted, until the time of the line. */
  | {
      readonly event: 'fault';
      readonly fault: string;
      readonly target: FaultTarget;
      readonly since: number;
      readonly detail?: string;
      /** False of a fault after which no handler has to run again. */
      readonly runsAgain?: false;
    }
  /** A worker ended by SIGTERM, `since` it was told to, with this code or by this signal. */
  | {
      readonly event: 'deployed';
      readonly pid: number;
      readonly version: number;
      readonly since: number;
      readonly end: number | NodeJS.Signals;
    }
  | { readonly event: 'worker-started' | 'worker-ended'; readonly pid: number; readonly detail?: string }
  /** `answer`: what `revoke` gave. The time of the line is that of the acknowledgement. */
  | { readonly event: 'revoked'; readonly workflow: number; readonly answer: boolean; readonly since: number }
  /** A signal was sent for the wait with this key. */
  | {
      readonly event: 'signalled';
      readonly key: string;
      readonly by: string;
      readonly answer: SignalAnswer;
    }
  /** Waited for `since` that time. */
  | {
      readonly event: 'outcome';
      readonly workflow: number;
      readonly outcome: SeenOutcome;
      readonly since: number;
    }
  /** Told again by the store, at the end of the campaign. */
  | {
      readonly event: 'final';
      readonly workflow: number;
      readonly state: string;
      readonly outcome: SeenOutcome;
    }
  | { readonly event: 'faults-ended' | 'all-submitted' | 'quiet' | 'gave-up' };

/** A value, with failures in it all the same, or a message. */
export type SeenOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly state?: string };

export type HistoryLine = HistoryEvent & { readonly at: number };

export class History {
  readonly lines: HistoryLine[] = [];
  readonly #file: string;

  constructor(folder: string) {
    this.#file = join(folder, 'history.jsonl');
  }

  note(event: HistoryEvent): void {
    const line: HistoryLine = { at: Date.now(), ...event };
    this.lines.push(line);
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}
