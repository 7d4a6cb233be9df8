/** `umbel events`: streams the events of an app, one line or one JSON document each. */
import type { AppEvent, EventQuery, EventType } from '@umbel/core';
import { InvalidArgumentError } from 'commander';
import { match, P } from 'ts-pattern';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { milliseconds, momentOf, pastMoment, shortText } from '../display.js';
import { EXIT } from '../errors.js';
import { examples, integer, list, plainFlag } from '../flags.js';
import { untilSignal } from '../operator-flags.js';
import { type Colors, cleanLine, jsonText, shortDuration } from '../output.js';

// Formats an event as one line of text.

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
  waiting: 'cyan',
  signalled: 'green',
  'worker-online': 'green',
  'worker-offline': 'yellow',
  gap: 'red',
};

const WIDTH = 'worker-offline'.length;

function eventLine(event: AppEvent, colors: Colors): string {
  const type = colors[COLOR_OF[event.type] ?? 'dim'](cleanLine(event.type).padEnd(WIDTH));
  return [colors.dim(clockTime(event.at)), type, ...partsOf(event, colors)].join('  ');
}

function partsOf(event: AppEvent, colors: Colors): string[] {
  return match(event)
    .returnType<string[]>()
    .with({ type: 'run-started' }, ({ runId }) => [`run ${cleanLine(runId)}`])
    .with({ type: 'run-finished' }, ({ runId, state }) => [`run ${cleanLine(runId)}`, cleanLine(state)])
    .with({ type: 'waiting' }, ({ runId, signal, key, until }) => [
      ...[`run ${cleanLine(runId)}`, colors.bold(cleanLine(signal)), cleanLine(key)],
      ...(until === undefined ? [] : [`until ${until.toISOString()}`]),
    ])
    .with({ type: 'signalled' }, ({ runId, signal, key }) => [
      ...[`run ${cleanLine(runId)}`, colors.bold(cleanLine(signal)), cleanLine(key)],
    ])
    .with({ type: 'worker-online' }, { type: 'worker-offline' }, ({ worker: { name, host, pid } }) => [
      colors.bold(cleanLine(name)),
      cleanLine(`${host} ${pid}`),
    ])
    .with({ type: 'gap' }, ({ queue }) => [
      cleanLine(`events of queue ${queue} were dropped before they were read`),
    ])
    .with({ task: P.any }, (ofJob) => [
      colors.bold(cleanLine(ofJob.task ?? '?')),
      colors.dim(cleanLine(ofJob.id)),
      colors.dim(cleanLine(ofJob.queue)),
      ...(ofJob.attempt !== undefined && ofJob.attempt > 1 ? [`attempt ${ofJob.attempt}`] : []),
      ...detailsOf(ofJob, colors),
    ])
    .exhaustive(() => []); // at run time, a newer core may know more types
}

/** The events of one job. */
type JobEvent = Extract<AppEvent, { readonly task: string | undefined }>;

/** Types of events without details. */
const PLAIN = P.union('enqueued', 'started', 'stalled', 'completed', 'revoked', 'expired', 'skipped');

function detailsOf(event: JobEvent, { red }: Colors): string[] {
  return match(event)
    .returnType<string[]>()
    .with({ type: 'progress' }, ({ state = '', value }) =>
      [state, value === undefined ? '' : shortText(jsonText(value))]
        .filter((text) => text !== '')
        .map(cleanLine),
    )
    .with({ type: 'retried' }, ({ delayMs, reason }) => [
      `retry in ${shortDuration(delayMs)}`,
      ...(reason === undefined ? [] : [red(shortText(reason, 100))]),
    ])
    .with({ type: 'failed' }, ({ reason }) => [red(shortText(reason, 100))])
    .with({ type: PLAIN }, () => [])
    .exhaustive(() => []); // as above
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
  'waiting',
  'signalled',
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
        'Stream the events of the jobs, workflow runs and workers of an app, one line per event, until interrupted. With --json ' +
          'each event has a position, from which --from continues.',
      )
      .addOption(
        plainFlag(
          '--from <place>',
          "Where to start: 'start' for the oldest stored event, a time, a time before now such as 10m, or a position (default: now)",
        ).argParser(parseStart),
      )
      .addOption(
        plainFlag('--types <list>', 'Only these types, such as completed,failed').argParser(parseTypes),
      )
      .addOption(plainFlag('--tasks <list>', 'Only jobs of these tasks').argParser(parseNames))
      .addOption(plainFlag('--queues <list>', 'Only jobs in these queues').argParser(parseNames))
      .addOption(plainFlag('--id <id>', 'Only this job, or this workflow run and its jobs'))
      .addOption(plainFlag('--limit <n>', 'Stop after this many events').argParser(integer(1)));
    operatorFlags(command);
    examples(command, [
      ['umbel events --name shop', 'all events, live'],
      ['umbel events --name shop --types failed,retried --from 1h', 'failures of the last hour, then live'],
      ['umbel events --name shop --json | jq .task', 'JSON for a program'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const { from, types, tasks, queues, id, limit = Number.POSITIVE_INFINITY } = flags;
      const interruption = untilSignal();
      const query: EventQuery = {
        signal: interruption.signal,
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
        interruption.release();
      }
      return EXIT.ok;
    }),
});

function parseStart(text: string): Date | string {
  return /^\d{4}-/.test(text) || milliseconds(text) !== undefined ? pastMoment(text) : text;
}

function parseNames(text: string, before: readonly string[] = []): readonly string[] {
  return text.split(',').reduce((all, name) => list(name.trim(), all), before);
}

function parseTypes(text: string, before: readonly string[] = []): readonly string[] {
  const all = parseNames(text, before);
  const unknown = all.find((type) => !(TYPES as readonly string[]).includes(type));
  if (unknown !== undefined)
    throw new InvalidArgumentError(
      `There is no event type "${unknown}". Expected one or more of ${TYPES.join(', ')}.`,
    );
  return all;
}
