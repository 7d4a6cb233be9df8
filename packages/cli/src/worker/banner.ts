/** What a worker shows of itself as it starts. */
import type { AppDescription } from '@umbel/core';
import type { Colors } from '../output/output.js';
import { cleanLine, counted } from '../output/text.js';
import { ownVersion } from '../version.js';

export interface BannerFacts {
  readonly app: AppDescription;
  readonly worker: string;
  readonly queues: readonly string[];
  readonly concurrency: (queue: string) => string;
  /** Instead of its address. */
  readonly store?: string;
}

const MOST_TASKS = 30;

export function banner(
  { app, worker, queues, concurrency, store }: BannerFacts,
  { bold, dim, cyan, yellow }: Colors,
): string {
  const row = (name: string, value: string) => `  ${dim(name.padEnd(8))} ${cleanLine(value)}`;
  const own = app.tasks.filter(({ hasHandler }) => hasHandler);
  const width = Math.max(0, ...own.slice(0, MOST_TASKS).map(({ name }) => name.length));
  const tasks = own.slice(0, MOST_TASKS).map(({ name, queue, isolate }) => {
    const note = queues.includes(queue) ? '' : yellow('  not served here');
    const apart = isolate === undefined ? '' : dim('  isolated');
    return `    ${cyan(cleanLine(name).padEnd(width))}  ${dim(cleanLine(queue))}${apart}${note}`;
  });
  const more = own.length > MOST_TASKS ? [dim(`    and ${own.length - MOST_TASKS} more`)] : [];
  return [
    `${bold('umbel')} ${dim(ownVersion())}`,
    row('app', app.name),
    row('store', store ?? app.store.address),
    row('worker', worker),
    row('queues', queues.map((queue) => `${queue} (${concurrency(queue)})`).join(', ') || 'none'),
    `  ${dim('tasks'.padEnd(8))} ${counted(own.length, 'task')}`,
    ...tasks,
    ...more,
    '',
  ].join('\n');
}
