import { setTimeout } from 'node:timers/promises';
import type { App, AppEvent, QueueInfo, WorkerInfo } from '@umbel/core';
import { checkKnown, type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { currentTime, interval, longDuration, relative } from '../display.js';
import { EXIT, umbelCode } from '../errors.js';
import { examples, integer, ownFlag } from '../flags.js';
import { untilSignal } from '../operator-flags.js';
import { type Colors, cleanLine, isInteractive } from '../output.js';

// A snapshot as lines that fit a terminal.

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** @param now Of the workers' last signs of life, in milliseconds since 1970. */
export function frame(snapshot: Snapshot, { columns, rows }: Size, colors: Colors): string[] {
  const { at, app, workers, queues } = snapshot;
  const online = workers.filter(({ state }) => state === 'online');
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  const active = sum(workers.map((worker) => worker.active));
  const places = sum(workers.map((worker) => worker.concurrency));
  const done = sum(queues.map(({ rates }) => rates.completed));
  const failed = sum(queues.map(({ rates }) => rates.failed));
  const title = `umbel top  ${cleanLine(app)}  ${at.toTimeString().slice(0, 8)}`;
  const facts = `workers ${online.length} of ${workers.length} online, ${active} of ${places} places taken; ${rateText(done)}/s completed, ${rateText(failed)}/s failed`;
  const busiest = [...queues].sort((a, b) => busy(b) - busy(a));
  const queueLines = aligned(
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
  const workerLines = aligned(
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
  // The title, two heads, and an empty line above each.
  const room = Math.max(2, rows - 7);
  const forQueues = Math.min(queueRows.length, Math.max(Math.ceil(room / 2), room - workerRows.length));
  return [
    colors.bold(cut(title)),
    cut(facts),
    '',
    head(queueHead),
    ...some(queueRows, forQueues).map(cut),
    '',
    head(workerHead),
    ...some(workerRows, room - Math.min(forQueues, queueRows.length)).map(cut),
  ];
}

function busy({ counts, rates }: Snapshot['queues'][number]): number {
  return counts.waiting + counts.active + rates.enqueued + rates.completed;
}

/** As many as there is room for; the last line tells how many more there are. */
function some(lines: readonly string[], room: number): readonly string[] {
  if (lines.length <= room) return lines;
  const shown = Math.max(0, room - 1);
  return [...lines.slice(0, shown), `… and ${lines.length - shown} more`];
}

function rateText(rate: number): string {
  return rate >= 100 ? String(Math.round(rate)) : rate.toFixed(1);
}

/** Columns of equal width; the first one to the left, numbers to the right. */
function aligned(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
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

// What happens in each queue between two looks.

interface Rates {
  /** A second, each. */
  readonly enqueued: number;
  readonly completed: number;
  readonly failed: number;
  readonly retried: number;
}

export interface Snapshot {
  readonly at: Date;
  readonly app: string;
  /** What the rates are counted over. */
  readonly overMs: number;
  readonly workers: readonly WorkerInfo[];
  readonly queues: readonly (QueueInfo & { readonly rates: Rates })[];
}

const COUNTED = ['enqueued', 'completed', 'failed', 'retried'] as const;
type Counted = (typeof COUNTED)[number];

export class Sampler {
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

  /** How all is now, and what has happened since the last look. */
  async look(): Promise<Snapshot> {
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

/** A screen of a terminal that is drawn over again and again; what was there before comes back at the end. */
const { stdin, stdout } = process;

const ENTER = '\u001b[?1049h\u001b[?25l';
/** Ctrl-C and Ctrl-D too: in raw mode they are keys. */
const QUIT = ['q', 'Q', '\u0003', '\u0004'];
const LEAVE = '\u001b[?25h\u001b[?1049l';

export class Screen {
  readonly #onQuit: () => void;

  /** @param onQuit Is called for `q` and Ctrl-C. */
  constructor(onQuit: () => void) {
    this.#onQuit = onQuit;
    stdout.write(ENTER);
    if (!stdin.isTTY) return;
    stdin.setRawMode(true); // keys come at once, Ctrl-C among them
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

// Looks one after another, also while the store does not answer for a while.

/** How long a look may take before it is said that the store does not answer. */
const PATIENCE_MS = 2000;
/** Between two tries to hear what happens, while the store is away. */
const LISTEN_AGAIN_MS = 1000;

/** A look, or for how long the store has not answered. */
export type Sight = { readonly snapshot: Snapshot } | { readonly silentMs: number };

export class Watching {
  readonly #sampler: Sampler;
  readonly #signal: AbortSignal;
  #looking: Promise<Snapshot | undefined> | undefined;
  #answeredAt = performance.now();

  constructor(sampler: Sampler, signal: AbortSignal) {
    this.#sampler = sampler;
    this.#signal = signal;
  }

  /** Counts events until the signal is aborted, also after the store was away. Rejects with any other error. */
  async listen(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await this.#sampler.listen(this.#signal);
        return;
      } catch (error) {
        if (!isAway(error)) throw error;
        await setTimeout(LISTEN_AGAIN_MS, undefined, { signal: this.#signal }).catch(() => {}); // it is aborted
      }
    }
  }

  /** The next look, or that there is none yet. @throws what a look throws while the store answers. */
  async next(): Promise<Sight> {
    this.#looking ??= this.#sampler.look().catch((error: unknown) => {
      if (isAway(error)) return undefined;
      throw error;
    });
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#signal]);
    const late = setTimeout(PATIENCE_MS, undefined, { signal }).then(
      () => LATE,
      () => LATE,
    );
    const seen = await Promise.race([this.#looking, late]).finally(() => done.abort());
    if (seen !== LATE) this.#looking = undefined;
    if (seen === LATE || seen === undefined) return { silentMs: performance.now() - this.#answeredAt };
    this.#answeredAt = performance.now();
    return { snapshot: seen };
  }
}

const LATE = 'late' as const;

function isAway(error: unknown): boolean {
  return umbelCode(error) === 'CONNECTION';
}

const WIDE = { columns: 1000, rows: 10_000 };

export default defineCommand<OperatorFlags & { readonly interval?: number; readonly count?: number }>({
  define(command) {
    command
      .description(
        'Shows the queues and workers of an app as they are, and what goes in and out of the queues a second, anew every second ' +
          'until q or Ctrl-C. Without a terminal it prints one snapshot; with --interval or --count, further ones. While the store does not answer it ' +
          'says so and goes on; the exit code is 69 only if it never answered.',
      )
      .addOption(ownFlag('--interval <time>', 'time between two looks (default: 1s)').argParser(interval))
      .addOption(ownFlag('--count <n>', 'end after so many').argParser(integer(1)));
    operatorFlags(command);
    examples(command, [
      ['umbel top --name shop', 'live'],
      ['umbel top --name shop --json', 'one snapshot, for a script'],
      ['umbel top --name shop --json --interval 10s', 'one every ten seconds, until Ctrl-C'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const ending = untilSignal();
      const { signal } = ending;
      const isLive = !out.isJson && isInteractive(process.stdout, process.env);
      const isEndless = isLive || flags.interval !== undefined;
      const count = flags.count ?? (isEndless ? Number.POSITIVE_INFINITY : 1);
      const sampler = new Sampler(app);
      // A store that never answers ends the command, before anything is drawn.
      const [workers, queues] = await Promise.all([app.inspect.workers(), app.inspect.queues()]);
      if (app.describe().tasks.length === 0) await checkKnown(app, workers, queues);
      const watching = new Watching(sampler, signal);
      const listening = watching.listen();
      listening.catch(ending.end);
      const screen = isLive ? new Screen(ending.end) : undefined;
      let lines: readonly string[] = [];
      let isSilent = false;
      const tell = (sight: Sight): boolean => {
        if ('snapshot' in sight) {
          if (isSilent && screen === undefined) out.note('The store answers again.');
          isSilent = false;
          lines = frame(sight.snapshot, screen === undefined ? WIDE : sizeOf(), out.colors);
          if (screen !== undefined) screen.draw(lines);
          else if (out.isJson) out.document('top', sight.snapshot);
          else out.data(lines.join('\n'));
          return true;
        }
        const away = `The store has not answered for ${longDuration(sight.silentMs)}; it is asked again.`;
        if (screen !== undefined) screen.draw([out.colors.red(away), ...lines.slice(1)]);
        else if (!isSilent) out.note(away);
        isSilent = true;
        return false;
      };
      try {
        if (screen !== undefined) tell(await watching.next());
        for (let looks = 0; looks < count && !signal.aborted; ) {
          await setTimeout(flags.interval ?? 1000, undefined, { signal }).catch(() => {}); // it is aborted
          if (signal.aborted) break;
          const sight = await watching.next();
          if (!signal.aborted && tell(sight)) looks += 1;
        }
      } finally {
        screen?.close();
        ending.end();
        ending.release();
      }
      await listening;
      return EXIT.ok;
    }),
});

function sizeOf() {
  const { columns = 80, rows = 24 } = process.stdout;
  return { columns, rows };
}
