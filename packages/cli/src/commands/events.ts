import type { AppEvent, EventQuery, EventType } from '@umbel/core';
import { InvalidArgumentError } from 'commander';
import { type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { milliseconds, momentOf, pastMoment, shortText } from '../display.js';
import { EXIT } from '../errors.js';
import { examples, integer, list, ownFlag } from '../flags.js';
import { untilSignal } from '../operator-flags.js';
import { type Colors, cleanLine, jsonText, shortDuration } from '../output.js';

// An event as a line for people.

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

const TYPES: readonly EventType[] = [
  'enqueued',
  'started',
  'progress',
  'retried',
  'stalled',
  'completed',
  'failed',
  'revoked',
  'expired',
  'skipped',
  'run-started',
  'run-finished',
  'worker-online',
  'worker-offline',
  'gap',
];

type EventsFlags = OperatorFlags & {
  readonly from?: Date | string;
  readonly types?: readonly EventType[];
  readonly tasks?: readonly string[];
  readonly queues?: readonly string[];
  readonly id?: string;
  readonly limit?: number;
};

export default defineCommand<EventsFlags>({
  define(command) {
    command
      .description(
        'Prints what happens to the jobs, runs and workers of an app, as it happens, a line for each event, until Ctrl-C or ' +
          'whoever reads has enough. With --json each has a position, from which another call goes on.',
      )
      .addOption(
        ownFlag(
          '--from <place>',
          "'start' for as far back as the store knows, a moment, a time before now as 10m, or a position (default: now)",
        ).argParser(place),
      )
      .addOption(ownFlag('--types <list>', 'only these, as completed,failed').argParser(typeList))
      .addOption(ownFlag('--tasks <list>', 'only of jobs of these tasks').argParser(names))
      .addOption(ownFlag('--queues <list>', 'only of jobs in these queues').argParser(names))
      .addOption(ownFlag('--id <id>', 'only of this job, or of this run and its steps'))
      .addOption(ownFlag('--limit <n>', 'end after so many').argParser(integer(1)));
    operatorFlags(command);
    examples(command, [
      ['umbel events --name shop', 'as it happens'],
      [
        'umbel events --name shop --types failed,retried --from 1h',
        'what went wrong in the last hour, and from now on',
      ],
      ['umbel events --name shop --json | jq .task', 'for a program'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const { from, types, tasks, queues, id, limit = Number.POSITIVE_INFINITY } = flags;
      const ending = untilSignal();
      const query: EventQuery = {
        signal: ending.signal,
        ...(from !== undefined && { from: from instanceof Date ? momentOf(from) : from }),
        ...(types !== undefined && { types }),
        ...(tasks !== undefined && { tasks }),
        ...(queues !== undefined && { queues }),
        ...(id !== undefined && { id }),
      };
      let count = 0;
      try {
        for await (const event of app.events(query)) {
          if (out.isJson) out.document('event', event);
          else out.data(eventLine(event, out.colors));
          count += 1;
          if (count >= limit) break;
        }
      } finally {
        ending.release();
      }
      return EXIT.ok;
    }),
});

function place(text: string): Date | string {
  return /^\d{4}-/.test(text) || milliseconds(text) !== undefined ? pastMoment(text) : text;
}

function names(text: string, before: readonly string[] = []): readonly string[] {
  return text.split(',').reduce((all, name) => list(name.trim(), all), before);
}

function typeList(text: string, before: readonly string[] = []): readonly string[] {
  const all = names(text, before);
  const unknown = all.find((type) => !(TYPES as readonly string[]).includes(type));
  if (unknown !== undefined)
    throw new InvalidArgumentError(`There is no "${unknown}". Expected some of ${TYPES.join(', ')}.`);
  return all;
}
