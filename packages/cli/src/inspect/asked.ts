/** What only workers know: each answers for itself. */
import type { Answers, App, AskOptions } from '@umbel/core';
import { type CommandModule, defineCommand } from '../command.js';
import { examples } from '../flags.js';
import { type AskFlags, answersDocument, askFlags, askOptions, judgeAnswers } from '../operating/answers.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { printFacts, printTable } from '../operating/show.js';
import { byteSize, currentTime, longDuration } from '../operating/times.js';
import type { Output } from '../output/output.js';
import { cleanLine, shortDuration } from '../output/text.js';

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
