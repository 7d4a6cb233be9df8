/** `umbel top`: shows a live view of the queues and workers of an app, with rates. */
import { setTimeout } from 'node:timers/promises';
import type { App, AppEvent, QueueInfo, WorkerInfo } from '@umbel/core';
import { checkAppExists, type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { currentTime, interval, longDuration, relative } from '../display.js';
import { EXIT, umbelCode } from '../errors.js';
import { examples, integer, plainFlag } from '../flags.js';
import { untilSignal } from '../operator-flags.js';
import { type Colors, cleanLine, isInteractive } from '../output.js';

// Formats a snapshot as lines that fit a terminal.

interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Returns the lines of a snapshot, cut to the size of the terminal. */
export function frame(snapshot: Snapshot, { columns, rows }: Size, colors: Colors): string[] {
  const { at, app, workers, queues } = snapshot;
  const online = workers.filter(({ state }) => state === 'online');
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  const active = sum(workers.map((worker) => worker.active));
  const slots = sum(workers.map((worker) => worker.concurrency));
  const done = sum(queues.map(({ rates }) => rates.completed));
  const failed = sum(queues.map(({ rates }) => rates.failed));
  const title = `umbel top  ${cleanLine(app)}  ${at.toTimeString().slice(0, 8)}`;
  const facts = `workers ${online.length} of ${workers.length} online, ${active} of ${slots} slots in use; ${rateText(done)}/s completed, ${rateText(failed)}/s failed`;
  const busiest = [...queues].sort((a, b) => activity(b) - activity(a));
  const queueLines = alignColumns(
    [
      'QUEUE',
      'WAITING',
      'OLDEST',
      'DELAYED',
      'ACTIVE',
      'FAILED',
      'IN/S',
      'DONE/S',
      'FAIL/S',
      'RETRY/S',
      'WORKERS',
    ],
    busiest.map(({ name, counts, oldestWaitingMs, rates, workers: serving, isPaused }) => [
      `${cleanLine(name)}${isPaused ? ' (paused)' : ''}`,
      `${counts.waiting}`,
      oldestWaitingMs === null ? '-' : longDuration(oldestWaitingMs),
      `${counts.delayed}`,
      `${counts.active}`,
      `${counts.failed}`,
      rateText(rates.enqueued),
      rateText(rates.completed),
      rateText(rates.failed),
      rateText(rates.retried),
      `${serving.length}`,
    ]),
  );
  const workerLines = alignColumns(
    ['WORKER', 'STATE', 'ACTIVE', 'PROCESSES', 'UP', 'SEEN'],
    workers.map(({ name, state, active: runs, concurrency, processes, uptimeMs, lastSeenAt }) => [
      cleanLine(name),
      state,
      `${runs}/${concurrency}`,
      `${processes.length}`,
      state === 'missing' ? '-' : longDuration(uptimeMs),
      relative(lastSeenAt, at.getTime()),
    ]),
  );
  const [queueHead = '', ...queueRows] = queueLines;
  const [workerHead = '', ...workerRows] = workerLines;
  const cut = (line: string) => [...line].slice(0, columns).join('');
  const head = (line: string) => colors.dim(cut(line));
  // Reserve lines for title, facts, two heads, and the empty lines between.
  const room = Math.max(2, rows - 7);
  const forQueues = Math.min(queueRows.length, Math.max(Math.ceil(room / 2), room - workerRows.length));
  return [
    colors.bold(cut(title)),
    cut(facts),
    '',
    head(queueHead),
    ...fitLines(queueRows, forQueues).map(cut),
    '',
    head(workerHead),
    ...fitLines(workerRows, room - Math.min(forQueues, queueRows.length)).map(cut),
  ];
}

function activity({ counts, rates }: Snapshot['queues'][number]): number {
  return counts.waiting + counts.active + rates.enqueued + rates.completed;
}

/** Returns the lines that fit; the last one states how many are omitted. */
function fitLines(lines: readonly string[], room: number): readonly string[] {
  if (lines.length <= room) return lines;
  const shown = Math.max(0, room - 1);
  return [...lines.slice(0, shown), `… and ${lines.length - shown} more`];
}

function rateText(rate: number): string {
  return rate >= 100 ? String(Math.round(rate)) : rate.toFixed(1);
}

/** Pads cells to columns of equal width: the first column left-aligned, the others right-aligned. */
function alignColumns(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
}

// Counts events per queue between two snapshots.

interface Rates {
  /** Each rate is per second. */
  readonly enqueued: number;
  readonly completed: number;
  readonly failed: number;
  readonly retried: number;
}

interface Snapshot {
  readonly at: Date;
  readonly app: string;
  /** The period of the rates. */
  readonly overMs: number;
  readonly workers: readonly WorkerInfo[];
  readonly queues: readonly (QueueInfo & { readonly rates: Rates })[];
}

const COUNTED = ['enqueued', 'completed', 'failed', 'retried'] as const;
type Counted = (typeof COUNTED)[number];

class Sampler {
  readonly #app: App;
  readonly #counts = new Map<string, Record<Counted, number>>();
  #since = performance.now();

  constructor(app: App) {
    this.#app = app;
  }

  /** Counts until `signal` is aborted. */
  async listen(signal: AbortSignal): Promise<void> {
    for await (const event of this.#app.events({ types: COUNTED, signal })) this.#count(event);
  }

  /** Returns the current state, with rates since the previous snapshot. */
  async snapshot(): Promise<Snapshot> {
    const [workers, queues] = await Promise.all([this.#app.inspect.workers(), this.#app.inspect.queues()]);
    const now = performance.now();
    const overMs = now - this.#since;
    const counts = new Map(this.#counts);
    this.#counts.clear();
    this.#since = now;
    return {
      at: new Date(currentTime()),
      app: this.#app.name,
      overMs: Math.round(overMs),
      workers,
      queues: queues.map((queue) => ({ ...queue, rates: ratesOf(counts.get(queue.name), overMs) })),
    };
  }

  #count({ type, ...event }: AppEvent): void {
    if (!('queue' in event) || !(COUNTED as readonly string[]).includes(type)) return;
    const counts = this.#counts.get(event.queue) ?? { enqueued: 0, completed: 0, failed: 0, retried: 0 };
    counts[type as Counted] += 1;
    this.#counts.set(event.queue, counts);
  }
}

function ratesOf(counts: Readonly<Record<Counted, number>> | undefined, overMs: number): Rates {
  const rate = (type: Counted) => Math.round(((counts?.[type] ?? 0) / Math.max(1, overMs)) * 10_000) / 10;
  return {
    enqueued: rate('enqueued'),
    completed: rate('completed'),
    failed: rate('failed'),
    retried: rate('retried'),
  };
}

// Draws on the alternate screen of the terminal; closing restores the previous content.

const { stdin, stdout } = process;

const ENTER = '\u001b[?1049h\u001b[?25l';
/** Includes Ctrl-C and Ctrl-D: in raw mode they arrive as keys. */
const QUIT = ['q', 'Q', '\u0003', '\u0004'];
const LEAVE = '\u001b[?25h\u001b[?1049l';

class Screen {
  readonly #onQuit: () => void;

  /** @param onQuit Called for `q`, Ctrl-C and Ctrl-D. */
  constructor(onQuit: () => void) {
    this.#onQuit = onQuit;
    stdout.write(ENTER);
    if (!stdin.isTTY) return;
    stdin.setRawMode(true); // delivers each key at once, including Ctrl-C
    stdin.on('data', this.#onKeys);
  }

  draw(lines: readonly string[]): void {
    stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\r\n')}\u001b[J`);
  }

  close(): void {
    stdout.write(LEAVE);
    if (!stdin.isTTY) return;
    stdin.off('data', this.#onKeys);
    stdin.setRawMode(false);
    stdin.pause();
  }

  readonly #onKeys = (keys: Buffer): void => {
    const typed = keys.toString();
    if (QUIT.some((key) => typed.includes(key))) this.#onQuit();
  };
}

// Takes snapshots one after another, and keeps going while the store does not answer.

/** Time after which a pending snapshot is reported as a store that does not answer. */
const PATIENCE_MS = 2000;
/** Pause between attempts to listen for events while the store is unreachable. */
const LISTEN_RETRY_MS = 1000;

/** A snapshot, or for how long the store has not answered. */
type Sample = { readonly snapshot: Snapshot } | { readonly silentMs: number };

class Watcher {
  readonly #sampler: Sampler;
  readonly #signal: AbortSignal;
  #pending: Promise<Snapshot | undefined> | undefined;
  #answeredAt = performance.now();

  constructor(sampler: Sampler, signal: AbortSignal) {
    this.#sampler = sampler;
    this.#signal = signal;
  }

  /** Counts events until the signal is aborted, and resumes after lost connections. Rejects with any other error. */
  async listen(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await this.#sampler.listen(this.#signal);
        return;
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        await setTimeout(LISTEN_RETRY_MS, undefined, { signal: this.#signal }).catch(() => {}); // it is aborted
      }
    }
  }

  /** Returns the next snapshot, or for how long there has been none. @throws any error but a lost connection. */
  async next(): Promise<Sample> {
    this.#pending ??= this.#sampler.snapshot().catch((error: unknown) => {
      if (isConnectionError(error)) return undefined;
      throw error;
    });
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#signal]);
    const late = setTimeout(PATIENCE_MS, undefined, { signal }).then(
      () => LATE,
      () => LATE,
    );
    const result = await Promise.race([this.#pending, late]).finally(() => done.abort());
    if (result !== LATE) this.#pending = undefined;
    if (result === LATE || result === undefined) return { silentMs: performance.now() - this.#answeredAt };
    this.#answeredAt = performance.now();
    return { snapshot: result };
  }
}

const LATE = 'late' as const;

function isConnectionError(error: unknown): boolean {
  return umbelCode(error) === 'CONNECTION';
}

const WIDE = { columns: 1000, rows: 10_000 };

export default defineCommand<OperatorFlags & { readonly interval?: number; readonly count?: number }>({
  define(command) {
    command
      .description(
        'Show a live view of the queues and workers of an app, with rates per second, until q or Ctrl-C. Without a terminal, ' +
          'print one snapshot, or more with --interval or --count. While the store does not answer, report it and ' +
          'continue; the exit code is 69 only if the store never answered.',
      )
      .addOption(plainFlag('--interval <time>', 'Refresh interval (default: 1s)').argParser(interval))
      .addOption(plainFlag('--count <n>', 'Stop after this many snapshots').argParser(integer(1)));
    operatorFlags(command);
    examples(command, [
      ['umbel top --name shop', 'live view'],
      ['umbel top --name shop --json', 'print one snapshot for a script'],
      ['umbel top --name shop --json --interval 10s', 'print one every ten seconds'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const interruption = untilSignal();
      const { signal } = interruption;
      const isLive = !out.isJson && isInteractive(process.stdout, process.env);
      const isEndless = isLive || flags.interval !== undefined;
      const count = flags.count ?? (isEndless ? Number.POSITIVE_INFINITY : 1);
      const sampler = new Sampler(app);
      // Fail before drawing anything if the store never answers.
      const [workers, queues] = await Promise.all([app.inspect.workers(), app.inspect.queues()]);
      if (app.describe().tasks.length === 0) await checkAppExists(app, workers, queues);
      const watcher = new Watcher(sampler, signal);
      const listening = watcher.listen();
      listening.catch(interruption.end);
      const screen = isLive ? new Screen(interruption.end) : undefined;
      let lines: readonly string[] = [];
      let isSilent = false;
      const show = (sample: Sample): boolean => {
        if ('snapshot' in sample) {
          if (isSilent && screen === undefined) out.note('The store answers again.');
          isSilent = false;
          lines = frame(sample.snapshot, screen === undefined ? WIDE : sizeOf(), out.colors);
          if (screen !== undefined) screen.draw(lines);
          else if (out.isJson) out.document('top', sample.snapshot);
          else out.data(lines.join('\n'));
          return true;
        }
        const message = `The store has not answered for ${longDuration(sample.silentMs)}; retrying.`;
        if (screen !== undefined) screen.draw([out.colors.red(message), ...lines.slice(1)]);
        else if (!isSilent) out.note(message);
        isSilent = true;
        return false;
      };
      try {
        if (screen !== undefined) show(await watcher.next());
        for (let shown = 0; shown < count && !signal.aborted; ) {
          await setTimeout(flags.interval ?? 1000, undefined, { signal }).catch(() => {}); // it is aborted
          if (signal.aborted) break;
          const sample = await watcher.next();
          if (!signal.aborted && show(sample)) shown += 1;
        }
      } finally {
        screen?.close();
        interruption.end();
        interruption.release();
      }
      await listening;
      return EXIT.ok;
    }),
});

function sizeOf() {
  const { columns = 80, rows = 24 } = process.stdout;
  return { columns, rows };
}
