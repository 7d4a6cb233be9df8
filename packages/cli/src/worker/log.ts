/** Writes the log of a worker: a line per attempt, and the app's messages, as text or as JSON lines in the format of pino. */
import { hostname } from 'node:os';
import type { ActiveAttempt, AttemptEnd, Logger } from '@umbel/core';
import type { ActivityListener, EndedAttempt } from '@umbel/core/internal';
import { type Colors, cleanLine, jsonText, type Output, shortDuration } from '../output.js';

/** Level numbers of pino. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50, silent: 100 } as const;
export type LogLevel = keyof typeof LEVELS;
type LineLevel = Exclude<LogLevel, 'silent'>;

/** Version of the JSON lines; raised with incompatible changes. */
const VERSION = 1;

const LEVEL_OF: Readonly<Record<AttemptEnd, LineLevel>> = {
  completed: 'info',
  waiting: 'debug',
  returned: 'warn',
  retried: 'warn',
  lost: 'warn',
  failed: 'error',
};

const COLOR_OF: Readonly<Record<AttemptEnd | 'started', keyof Colors>> = {
  started: 'dim',
  completed: 'green',
  waiting: 'dim',
  returned: 'yellow',
  retried: 'yellow',
  lost: 'yellow',
  failed: 'red',
};

const LONGEST_RESULT = 1000;

/** The job that a line belongs to. */
interface LoggingJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly attempt: number;
}

export interface LogOptions {
  readonly format: 'pretty' | 'json';
  readonly level: LogLevel;
  /** Whether results are logged. */
  readonly hasResults?: boolean;
  /** Returns milliseconds since 1970. Default: the system clock. */
  readonly now?: () => number;
}

export class WorkerLog implements Logger, ActivityListener {
  readonly #out: Output;
  readonly #options: LogOptions;

  constructor(out: Output, options: LogOptions) {
    this.#out = out;
    this.#options = options;
  }

  info(message: string): void {
    this.#message('info', message);
  }

  warn(message: string): void {
    this.#message('warn', message);
  }

  error(message: string): void {
    this.#message('error', message);
  }

  started(attempt: ActiveAttempt): void {
    this.#attempt('debug', 'started', attempt, {});
  }

  ended(attempt: ActiveAttempt, ended: EndedAttempt): void {
    this.#attempt(LEVEL_OF[ended.end], ended.end, attempt, ended);
  }

  logged({ id, name: task, queue, attempt }: LoggingJob, level: LineLevel, line: string): void {
    if (!this.#isLogged(level)) return;
    if (this.#options.format === 'json') {
      this.#json(level, { event: 'log', task, id, queue, attempt, msg: line });
      return;
    }
    const { colors } = this.#out;
    const paint = level === 'warn' ? colors.yellow : level === 'error' ? colors.red : colors.dim;
    this.#pretty(
      [paint(level.padEnd(9)), colors.bold(cleanLine(task)), colors.dim(cleanLine(id)), cleanLine(line)].join(
        '  ',
      ),
    );
  }

  gave({ id, name: task, queue, attempt }: LoggingJob, result: unknown): void {
    if (!this.#options.hasResults || !this.#isLogged('info')) return;
    if (this.#options.format === 'json') {
      this.#json('info', { event: 'result', task, id, queue, attempt, result, msg: `${task} result` });
      return;
    }
    const { colors } = this.#out;
    const text = cleanLine(jsonText(result));
    const short = text.length > LONGEST_RESULT ? `${text.slice(0, LONGEST_RESULT)}…` : text;
    this.#pretty(
      ['result'.padEnd(9), colors.bold(cleanLine(task)), colors.dim(cleanLine(id)), short].join('  '),
    );
  }

  /** Logs a line with fields; the text format shows only the message. */
  event(level: LineLevel, event: string, message: string, fields: object = {}): void {
    if (!this.#isLogged(level)) return;
    if (this.#options.format === 'json') this.#json(level, { event, ...fields, msg: message });
    else this.#pretty(message);
  }

  #message(level: LineLevel, message: string): void {
    if (!this.#isLogged(level)) return;
    if (this.#options.format === 'json') {
      this.#json(level, { event: 'message', msg: message });
      return;
    }
    const { yellow, red } = this.#out.colors;
    const paint = level === 'warn' ? yellow : level === 'error' ? red : String;
    this.#pretty(`${paint(level.padEnd(9))}  ${cleanLine(message)}`);
  }

  #attempt(
    level: LineLevel,
    state: AttemptEnd | 'started',
    attempt: ActiveAttempt,
    { durationMs, error, message = '' }: Partial<EndedAttempt>,
  ): void {
    if (!this.#isLogged(level)) return;
    const { id, task, queue, runId, attempt: number } = attempt;
    if (this.#options.format === 'json') {
      this.#json(level, {
        event: 'attempt',
        state,
        task,
        id,
        queue,
        ...(runId !== undefined && { runId }),
        attempt: number,
        ...(durationMs !== undefined && { durationMs }),
        ...(error !== undefined && { err: { type: error, message } }),
        msg: `${task} ${state}`,
      });
      return;
    }
    const { colors } = this.#out;
    const parts = [
      colors[COLOR_OF[state]](state.padEnd(9)),
      colors.bold(cleanLine(task)),
      colors.dim(cleanLine(id)),
      ...(durationMs === undefined ? [] : [shortDuration(durationMs)]),
      colors.dim(cleanLine(queue)),
      ...(number > 1 ? [`attempt ${number}`] : []),
      ...(error === undefined ? [] : [colors.red(cleanLine(`${error}: ${message}`))]),
    ];
    this.#pretty(parts.join('  '));
  }

  #isLogged(level: LineLevel): boolean {
    return LEVELS[level] >= LEVELS[this.#options.level];
  }

  #json(level: LineLevel, fields: object): void {
    const head = {
      v: VERSION,
      level: LEVELS[level],
      time: this.#now(),
      pid: process.pid,
      hostname: hostname(),
    };
    this.#out.data(jsonText({ ...head, ...fields }));
  }

  #pretty(text: string): void {
    const date = new Date(this.#now());
    const two = (value: number, length = 2) => String(value).padStart(length, '0');
    const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
    this.#out.data(`${this.#out.colors.dim(time)}  ${text}`);
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}
