/**
 * This module runs calls of BullMQ's commands in batches, each one statement: adding jobs, claiming and completing them.
 * BullMQ's methods build the calls and read the answers. Failures, retries and delays run alone.
 */
import type { ClaimDetails } from '../../../claim-details.js';
import type { SqlResult } from '../pg-driver.js';
import { ADD_JOBS } from '../replaced-functions.js';
import { unwrapText } from '../text.js';
import { RUN_ALONE } from './batch-functions.js';
import { CallBatcher } from './call-batcher.js';

type Params = readonly unknown[];

/** A call that waits for its answer. */
interface Call {
  readonly command: string;
  readonly params: Params;
  readonly resolve: (answer: SqlResult) => void;
  readonly reject: (error: unknown) => void;
}

/** The limit of a queue and its next delayed job, for a worker that got no job. */
export interface QueueSignal {
  readonly limitMs: number;
  /** A time of the store. */
  readonly dueAt: number | undefined;
}

/** The parts of the backend that batches use. */
export interface BatchedBackend {
  readonly queue: string;
  query(statement: string, params: Params): Promise<SqlResult>;
  /** Runs one call with BullMQ's own function. */
  runAlone(command: string, params: Params): Promise<SqlResult>;
  /** Returns whether an error would be the same for each call, for instance because the connection has ended. */
  concernsAll(error: unknown): boolean;
  onClaim(id: string, details: ClaimDetails): void;
  /** Returns the number of notifications about new jobs so far. */
  noticed(): number;
  /** Called when no job waited, with the number of notifications before, and the time when the next delayed job is due. */
  onIdle(noticed: number, dueAt: number | undefined): void;
}

/** Positions of the parameters of the commands. */
const ADD = { id: 1, parent: 10, deduplication: 12 } as const;
const END = { id: 1, token: 2, value: 3, at: 4, removeAll: 5, keepAge: 6, keepCount: 7 } as const;
/** The arguments of a claim in each command, from the length of the lock on. */
const CLAIM_OF: Readonly<Record<string, number>> = { move_to_active: 2, move_to_completed_fetch: 8 };

const MAX_CALLS = 64;
const MAX_CHARACTERS = 1024 * 1024;

const TURN = `SELECT call, code, job, results, is_last AS "isLast", limit_ms AS "limitMs", due_at AS "dueAt"
  FROM umbel_turn($1, $2::jsonb, $3::integer[], $4::text[], $5, $6, $7, $8, $9)`;

interface TurnRow {
  readonly call: number;
  readonly code: number;
  readonly job: { readonly id: string } | null;
  readonly results: string[] | null;
  readonly isLast: boolean;
  readonly limitMs: string | number | null;
  readonly dueAt: string | number | null;
}

/** Runs commands of one queue in batches. */
export class BatchedCommands {
  readonly #backend: BatchedBackend;
  readonly #adding: CallBatcher<Call>;
  readonly #turns: CallBatcher<Call>;
  /** By the answer to a call that got no job. */
  readonly #signals = new WeakMap<object, QueueSignal>();

  constructor(backend: BatchedBackend) {
    this.#backend = backend;
    const limits = { calls: MAX_CALLS, characters: MAX_CHARACTERS };
    this.#adding = new CallBatcher((calls) => this.#settle(calls, (batch) => this.#add(batch)), limits);
    this.#turns = new CallBatcher((calls) => this.#settle(calls, (batch) => this.#turn(batch)), limits);
  }

  /** Returns the answer to a call; undefined if calls of this command are not batched. */
  call(command: string, params: Params): Promise<SqlResult> | undefined {
    const batcher = this.#batcherOf(command, params);
    if (batcher === undefined) return undefined;
    return new Promise((resolve, reject) => {
      batcher.add({ command, params, resolve, reject }, sizeOf(params));
    });
  }

  /** Returns what a worker is to wait for that got this answer, if it got no job. */
  signalOf(rows: object): QueueSignal | undefined {
    return this.#signals.get(rows);
  }

  #batcherOf(command: string, params: Params): CallBatcher<Call> | undefined {
    switch (command) {
      case 'add_job':
        return params[ADD.id] && params[ADD.parent] === null && !params[ADD.deduplication]
          ? this.#adding
          : undefined;
      case 'move_to_active':
        return this.#turns;
      case 'move_to_completed':
      case 'move_to_completed_fetch':
        return isKept(params[END.keepAge]) || isKept(params[END.keepCount]) ? undefined : this.#turns;
      default:
        return undefined;
    }
  }

  /** Runs a batch. If the server refuses it because of one of its calls, each runs alone, so that an error is its own. */
  async #settle(calls: readonly Call[], run: (batch: readonly Call[]) => Promise<void>): Promise<void> {
    try {
      await run(calls);
    } catch (error) {
      const isCommon = calls.length === 1 || this.#backend.concernsAll(error);
      await Promise.all(calls.map((call) => (isCommon ? call.reject(error) : this.#alone(call))));
    }
  }

  #alone({ command, params, resolve, reject }: Call): Promise<void> {
    return this.#backend.runAlone(command, params).then(resolve, reject);
  }

  async #add(calls: readonly Call[]): Promise<void> {
    const entries = calls.map(({ params }) => {
      const [, id, name, data, opts, priority, delay, timestamp, attempts, , , , , schedulerId, lifo] =
        params;
      const rest = JSON.stringify({ id, name, priority, delay, timestamp, attempts, schedulerId, lifo });
      return `${rest.slice(0, -1)},"data":${data as string},"opts":${opts as string}}`;
    });
    await this.#backend.query(ADD_JOBS, [this.#backend.queue, `[${entries.join()}]`]);
    for (const { params, resolve } of calls) resolve({ rows: [{ id: params[ADD.id] }] });
  }

  async #turn(calls: readonly Call[]): Promise<void> {
    const ends: string[] = [];
    const claims: number[] = [];
    const tokens: unknown[] = [];
    let claim: Params = [];
    for (const [call, { command, params }] of calls.entries()) {
      const at = CLAIM_OF[command];
      if (at !== undefined) claim = params.slice(at);
      if (command === 'move_to_active') {
        claims.push(call);
        tokens.push(params[1]);
        continue;
      }
      const {
        [END.id]: id,
        [END.token]: token,
        [END.value]: value,
        [END.at]: time,
        [END.removeAll]: remove,
      } = params;
      const rest = JSON.stringify({
        call,
        id,
        token,
        at: time,
        remove: remove === true,
        isFetching: at !== undefined,
      });
      ends.push(`${rest.slice(0, -1)},"value":${value as string}}`);
    }
    const [lockMs = null, now = null, name = null, max = null, duration = null] = claim;
    const parameters = [
      this.#backend.queue,
      `[${ends.join()}]`,
      claims,
      tokens,
      lockMs,
      now,
      name,
      max,
      duration,
    ];
    const noticed = this.#backend.noticed();
    const { rows } = await this.#backend.query(TURN, parameters);
    const answers = rows as TurnRow[];
    if (answers.length !== calls.length)
      throw new RangeError(`Bug in Umbel: ${answers.length} answers to ${calls.length} calls.`);
    const idle = answers.find(({ isLast }) => isLast);
    if (idle !== undefined) this.#backend.onIdle(noticed, timeOf(idle.dueAt));
    const alone: Promise<void>[] = [];
    for (const answer of answers) {
      const call = calls[answer.call];
      if (call === undefined) throw new RangeError('Bug in Umbel: an answer to no call.');
      if (answer.code === RUN_ALONE) alone.push(this.#alone(call));
      else if (answer.code !== 0) call.reject(codeError(call, answer.code));
      else call.resolve({ rows: this.#rowsOf(answer) });
    }
    await Promise.all(alone);
  }

  #rowsOf({ job, results, isLast, limitMs, dueAt }: TurnRow): SqlResult['rows'] {
    if (job === null) {
      const rows: SqlResult['rows'] = [];
      this.#signals.set(rows, { limitMs: Number(limitMs ?? 0), dueAt: timeOf(dueAt) });
      return rows;
    }
    const childResults = results?.map((text, index) => (index % 2 === 0 ? text : unwrapText(text)));
    this.#backend.onClaim(job.id, { childResults, isLast });
    return [job];
  }
}

function timeOf(ms: string | number | null): number | undefined {
  return ms === null ? undefined : Number(ms);
}

/** Whether ended jobs are removed by their age or number. */
function isKept(limit: unknown): boolean {
  return typeof limit === 'number' && limit >= 0;
}

function sizeOf(params: Params): number {
  let size = 0;
  for (const value of params) if (typeof value === 'string') size += value.length;
  return size;
}

/** Returns the error that BullMQ's function throws. */
function codeError({ params }: Call, code: number): Error {
  return Object.assign(new Error(`job ${params[END.id]} cannot be completed`), {
    code: 'BM001',
    detail: String(code),
  });
}
