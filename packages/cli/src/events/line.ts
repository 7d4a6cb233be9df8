/** An event as a line for people. */
import type { AppEvent } from '@umbel/core';
import { shortText } from '../operating/show.js';
import type { Colors } from '../output/output.js';
import { cleanLine, jsonText, shortDuration } from '../output/text.js';

const COLOR_OF: Readonly<Record<AppEvent['type'], keyof Colors>> = {
  enqueued: 'dim',
  started: 'cyan',
  progress: 'dim',
  retried: 'yellow',
  stalled: 'yellow',
  completed: 'green',
  failed: 'red',
  revoked: 'yellow',
  expired: 'yellow',
  skipped: 'dim',
  'run-started': 'cyan',
  'run-finished': 'bold',
  'worker-online': 'green',
  'worker-offline': 'yellow',
  gap: 'red',
};

const WIDTH = 'worker-offline'.length;

export function eventLine(event: AppEvent, colors: Colors): string {
  const type = colors[COLOR_OF[event.type] ?? 'dim'](cleanLine(event.type).padEnd(WIDTH));
  return [colors.dim(clockTime(event.at)), type, ...partsOf(event, colors)].join('  ');
}

function partsOf(event: AppEvent, colors: Colors): string[] {
  switch (event.type) {
    case 'run-started':
      return [`run ${cleanLine(event.runId)}`];
    case 'run-finished':
      return [`run ${cleanLine(event.runId)}`, cleanLine(event.state)];
    case 'worker-online':
    case 'worker-offline':
      return [
        colors.bold(cleanLine(event.worker.name)),
        cleanLine(`${event.worker.host} ${event.worker.pid}`),
      ];
    case 'gap':
      return [cleanLine(`events of queue ${event.queue} were dropped before they were read`)];
    default:
      return [
        colors.bold(cleanLine(event.task ?? '?')),
        colors.dim(cleanLine(event.id)),
        colors.dim(cleanLine(event.queue)),
        ...(event.attempt !== undefined && event.attempt > 1 ? [`attempt ${event.attempt}`] : []),
        ...moreOf(event, colors),
      ];
  }
}

function moreOf(event: AppEvent, { red }: Colors): string[] {
  switch (event.type) {
    case 'progress':
      return [event.state ?? '', event.value === undefined ? '' : shortText(jsonText(event.value))]
        .filter((text) => text !== '')
        .map(cleanLine);
    case 'retried':
      return [
        `again in ${shortDuration(event.delayMs)}`,
        ...(event.reason === undefined ? [] : [red(shortText(event.reason, 100))]),
      ];
    case 'failed':
      return [red(shortText(event.reason, 100))];
    default:
      return [];
  }
}

function clockTime(date: Date): string {
  const two = (value: number, length = 2) => String(value).padStart(length, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
}
