/** A snapshot as lines that fit a terminal. */
import { longDuration, relative } from '../operating/times.js';
import type { Colors } from '../output/output.js';
import { cleanLine } from '../output/text.js';
import type { Snapshot } from './sampler.js';

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
