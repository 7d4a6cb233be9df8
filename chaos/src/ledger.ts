/** What handlers did, in files that outlive the processes that wrote them. */
import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SignalAnswer } from '@umbel/core';
import { readJsonLines } from './json-lines.js';

/** How a handler ended: `asked` is a failure that the task's `retry` tries again. */
export type HandlerEnd = 'gave' | 'asked' | 'failed' | 'placed' | 'stopped';

export interface LedgerEntry {
  readonly event: 'start' | 'end' | 'blocked' | 'signalled';
  readonly at: number;
  readonly pid: number;
  readonly job: string;
  /** As the handler's context counts it. */
  readonly attempt: number;
  readonly workflow: number;
  /** Of a node of a random workflow; the value it works on. */
  readonly node: number;
  readonly value: unknown;
  readonly how?: HandlerEnd;
  /** Of `signalled`: the key of the wait, a name for the sending, and its answer. */
  readonly key?: string;
  readonly by?: string;
  readonly answer?: SignalAnswer;
  /** Of `blocked`: how long the event loop stands still. */
  readonly forMs?: number;
}

const PREFIX = 'ledger-';

/** Writes the ledger of this process, by the right time. A line is in the file before the handler goes on. */
export class LedgerWriter {
  readonly #file: string;
  readonly #skewMs: number;

  constructor(folder: string, slot: number, skewMs = 0) {
    this.#skewMs = skewMs;
    this.#file = join(folder, `${PREFIX}${slot}-${process.pid}.jsonl`);
  }

  note(entry: Omit<LedgerEntry, 'at' | 'pid'>): void {
    appendFileSync(
      this.#file,
      `${JSON.stringify({ ...entry, at: Date.now() - this.#skewMs, pid: process.pid })}\n`,
    );
  }
}

/** The ledgers of all processes, in the order of time. */
export function readLedger(folder: string): LedgerEntry[] {
  return readdirSync(folder)
    .filter((file) => file.startsWith(PREFIX))
    .flatMap((file) => readJsonLines<LedgerEntry>(join(folder, file)))
    .sort((a, b) => a.at - b.at);
}
