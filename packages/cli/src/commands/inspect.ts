import type { Answers, App, AskOptions, JobsQuery, WorkerInfo } from '@umbel/core';
import type { Command } from 'commander';
import { type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { type CommandModule, defineCommand, defineGroup } from '../command.js';
import {
  byteSize,
  currentTime,
  known,
  longDuration,
  printFacts,
  printTable,
  relative,
  stateCell,
} from '../display.js';
import { EXIT } from '../errors.js';
import { examples, integer, ownFlag } from '../flags.js';
import { type AskFlags, answersDocument, askFlags, askOptions, judgeAnswers } from '../operator-flags.js';
import { cleanLine, type Output, shortDuration } from '../output.js';
import { queues } from './status.js';

// What only workers know: each answers for itself.

interface Question<Answer> {
  /** Of its document too. */
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly ask: (app: App, options: AskOptions) => Promise<Answers<Answer>>;
  readonly print: (out: Output, answers: Readonly<Record<string, Answer>>) => Promise<void>;
}

function question<Answer>({ name, summary, description, ask, print }: Question<Answer>): CommandModule {
  return defineCommand<OperatorFlags & AskFlags>({
    define(command) {
      command.summary(summary).description(description);
      askFlags(command);
      operatorFlags(command);
      examples(command, [
        [`umbel inspect ${name} --name shop`, 'of every worker'],
        [`umbel inspect ${name} -A ./tasks.ts -w mail.1 --timeout 5s`, 'of one'],
      ]);
    },
    run: (context) =>
      withOperated(context, async (app) => {
        const { out, flags } = context;
        const answers = await ask(app, askOptions(flags));
        if (out.isJson) out.document(name, answersDocument(answers));
        else if (Object.keys(answers.answers).length > 0) await print(out, answers.answers);
        return judgeAnswers(app, out, answers, flags);
      }),
  });
}

export const ping = question({
  name: 'ping',
  summary: 'which workers answer',
  description: 'Asks every worker whether it is there. The exit code is 75 if one of them does not answer.',
  ask: (app, options) => app.inspect.ping(options),
  print: (out, answers) =>
    printTable(
      out,
      ['WORKER', 'ANSWERED'],
      Object.entries(answers).map(([name, { roundTripMs }]) => [name, `after ${shortDuration(roundTripMs)}`]),
      '',
    ),
});

export const active = question({
  name: 'active',
  summary: 'attempts that run',
  description: 'Lists the attempts that run, the one that began first in front.',
  ask: (app, options) => app.inspect.active(options),
  print: (out, answers) =>
    printTable(
      out,
      ['ID', 'TASK', 'QUEUE', 'ATTEMPT', 'RUNS FOR', 'WORKER'],
      Object.entries(answers)
        .flatMap(([worker, attempts]) => attempts.map((attempt) => ({ worker, ...attempt })))
        .sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime())
        .map(({ id, task, queue, attempt, startedAt, worker }) => [
          id,
          task,
          queue,
          `${attempt}`,
          longDuration(currentTime() - startedAt.getTime()),
          worker,
        ]),
      'Nothing runs.',
    ),
});

export const stats = question({
  name: 'stats',
  summary: 'what workers have done, and how they fare',
  description: 'Tells what each worker has done since it was started, and how it fares.',
  ask: (app, options) => app.inspect.stats(options),
  print: (out, answers) =>
    printTable(
      out,
      [
        'WORKER',
        'PID',
        'UP',
        'ACTIVE',
        'COMPLETED',
        'FAILED',
        'RETRIED',
        'LOST',
        'LOAD',
        'MEMORY',
        'VERSION',
        'NODE',
      ],
      Object.entries(answers).map(([name, told]) => [
        name,
        `${told.pid}`,
        longDuration(told.uptimeMs),
        `${told.active}`,
        `${told.counts.completed}`,
        `${told.counts.failed}`,
        `${told.counts.retried}`,
        `${told.counts.lost}`,
        `${Math.round(told.load * 100)}%`,
        byteSize(told.rssBytes),
        told.version,
        told.node,
      ]),
      '',
    ),
});

export const registered = question({
  name: 'registered',
  summary: 'tasks that workers have handlers for',
  description:
    'Lists the tasks that workers have handlers for. With --json also the schemas of their inputs and results, where the ' +
    'schema library can tell them.',
  ask: (app, options) => app.inspect.registered(options),
  print: (out, answers) => {
    const rows = new Map<string, { cells: string[]; workers: string[] }>();
    for (const [worker, tasks] of Object.entries(answers)) {
      for (const { name, queue, attempts, timeoutMs, priority, isIsolated } of tasks) {
        const timeout = timeoutMs === null ? '' : shortDuration(timeoutMs);
        const cells = [name, queue, `${attempts}`, timeout, `${priority}`, isIsolated ? 'isolated' : ''];
        const key = cells.join('\n');
        const row = rows.get(key) ?? { cells, workers: [] };
        row.workers.push(worker);
        rows.set(key, row);
      }
    }
    const sorted = [...rows.values()].sort((a, b) => ((a.cells[0] ?? '') < (b.cells[0] ?? '') ? -1 : 1));
    return printTable(
      out,
      ['TASK', 'QUEUE', 'ATTEMPTS', 'TIMEOUT', 'PRIORITY', 'RUNS', 'WORKERS'],
      sorted.map(({ cells, workers }) => [...cells, workers.join(' ')]),
      'The workers have no handlers.',
    );
  },
});

export const conf = question({
  name: 'conf',
  summary: 'settings of workers',
  description: 'Tells the settings of each worker and its app. No passwords, keys or headers are among them.',
  ask: (app, options) => app.inspect.conf(options),
  print: async (out, answers) => {
    for (const [name, { connection, ...settings }] of Object.entries(answers)) {
      out.data(out.colors.bold(cleanLine(name)));
      const { kind, addresses, database, isEncrypted } = connection;
      const tls = isEncrypted ? ', encrypted' : '';
      printFacts(out, [
        ['connection', `${kind} ${addresses.join(' ')}, database ${database}${tls}`],
        ...Object.entries(settings).map(
          ([key, value]) => [key.replace(/(?:Ms|Bytes)$/, ''), settingText(key, value)] as const,
        ),
      ]);
    }
  },
});

function settingText(key: string, value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value)) return value.map(String).join(', ') || 'none';
  if (typeof value === 'number' && key.endsWith('Ms')) return longDuration(value);
  if (typeof value === 'number' && key.endsWith('Bytes')) return byteSize(value);
  return String(value);
}

type WaitingFlags = OperatorFlags & { readonly queue?: string; readonly limit: number };

function waitingFlags(command: Command): void {
  command
    .addOption(ownFlag('--queue <name>', 'only of this queue'))
    .addOption(ownFlag('--limit <n>', 'at most so many').argParser(integer(1, 1000)).default(100));
  operatorFlags(command);
}

const queryOf = ({ queue, limit }: WaitingFlags): JobsQuery => ({
  limit,
  ...(queue !== undefined && { queue }),
});

export const scheduled: CommandModule = defineCommand<WaitingFlags>({
  define(command) {
    command
      .summary('jobs that wait for a time: a countdown, another attempt')
      .description(
        'Lists the jobs that wait for a time, for their countdown or another attempt; the next one first.',
      );
    waitingFlags(command);
    examples(command, [['umbel inspect scheduled --name shop --limit 10', 'what is due next']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const jobs = await app.inspect.scheduled(queryOf(flags));
      if (out.isJson) out.document('scheduled', { jobs });
      else
        await printTable(
          out,
          ['ID', 'TASK', 'QUEUE', 'DUE', 'ATTEMPT', 'SENT'],
          jobs.map(({ id, task, queue, dueAt, attempt, enqueuedAt, problem }) => [
            id,
            task,
            queue,
            relative(known(dueAt)),
            `${attempt}`,
            problem ?? relative(known(enqueuedAt)),
          ]),
          'No job waits for a time.',
        );
      return EXIT.ok;
    }),
});

export const reserved: CommandModule = defineCommand<WaitingFlags>({
  define(command) {
    command
      .summary('jobs that are taken next')
      .description(
        'Lists the jobs that are taken next, in that order, queue by queue. Workers reserve none: each takes a job when it ' +
          'has a place for it.',
      );
    waitingFlags(command);
    examples(command, [['umbel inspect reserved --name shop --queue mail', 'what comes next']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const jobs = await app.inspect.reserved(queryOf(flags));
      if (out.isJson) out.document('reserved', { jobs });
      else
        await printTable(
          out,
          ['ID', 'TASK', 'QUEUE', 'ATTEMPT', 'SENT'],
          jobs.map(({ id, task, queue, attempt, enqueuedAt, problem }) => [
            id,
            task,
            queue,
            `${attempt}`,
            problem ?? relative(known(enqueuedAt)),
          ]),
          'No job waits.',
        );
      return EXIT.ok;
    }),
});

export const workers = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('workers, also those that are gone since less than an hour')
      .description(
        'Lists the workers, also those that are gone since less than an hour, as the store knows them: those that were killed are ' +
          'missing, those that were closed are not listed.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel inspect workers --name shop', 'all of them'],
      ['umbel inspect workers --json | jq .workers[].name', 'for a script'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const all = await app.inspect.workers();
      if (out.isJson) out.document('workers', { workers: all });
      else await printWorkers(out, all);
      return EXIT.ok;
    }),
});

function printWorkers(out: Output, all: readonly WorkerInfo[]): Promise<void> {
  return printTable(
    out,
    ['WORKER', 'STATE', 'ACTIVE', 'QUEUES', 'UP', 'SEEN', 'PROCESSES', 'HOST'],
    all.map(({ name, state, active, concurrency, queues, uptimeMs, lastSeenAt, processes }) => [
      name,
      stateCell(state, out),
      `${active}/${concurrency}`,
      Object.entries(queues)
        .map(([queue, served]) => `${queue}=${served.concurrency}`)
        .join(' '),
      state === 'missing' ? '' : longDuration(uptimeMs),
      relative(lastSeenAt),
      `${processes.length}`,
      [...new Set(processes.map(({ host }) => host))].join(' '),
    ]),
    'No worker has told of itself within an hour.',
  );
}

export default defineGroup({
  description:
    'Looks at the workers and queues of an app, and changes nothing. workers, queues, scheduled and reserved are told by the ' +
    'store; the others are asked of the workers: the exit code is 75 if one that should answer does not, 1 if one cannot, 3 if ' +
    'one that is named is not known.',
  verbs: { workers, queues, active, scheduled, reserved, registered, stats, conf, ping },
  examples: [
    ['umbel inspect workers --name shop', 'who is there'],
    ['umbel inspect active --name shop', 'what runs'],
    ['umbel inspect queues --name shop -b redis://db:6379', 'what waits'],
    ['umbel inspect ping --app ./tasks.ts || alert', 'do all workers answer?'],
  ],
});
