/**
 * Decides the role of a worker in this process (worker, supervisor, child, nothing) from its options and the identity of
 * the process, before worker code is loaded. Also finds the program to run in child processes.
 */

import { isMainThread } from 'node:worker_threads';
import { InvalidOptionError } from '../../base/errors.js';
import { ChildProcessError } from '../../base/failures.js';
import { isPlainObject } from '../../base/text.js';
import type { Engine } from '../../store/engine/engine.js';
import { type NormalizedWorkerOptions, normalizeWorkerOptions, type WorkerOptions } from '../options.js';

/** Identity of a child process. The supervisor passes it in an environment variable. */
export interface ProcessIdentity {
  /** Number of the worker among those that the program creates, from 0. */
  readonly worker: number;
  /** Index among the processes of that worker, from 0. A replacement has the same index. */
  readonly index: number;
  /** Name of the worker. */
  readonly name: string;
}

/** Public variable, for example for shell scripts that a handler starts. */
const INDEX_VARIABLE = 'UMBEL_PROCESS';
const IDENTITY_VARIABLE = 'UMBEL_SUPERVISED';

interface Process {
  readonly identity: ProcessIdentity | undefined;
  workers: number;
}

/** Process-wide: the program may load several copies of this package. */
const PROCESS = Symbol.for('umbel.process');

/** Returns the environment variables that carry the identity. */
export function identityVariables(identity: ProcessIdentity): Record<string, string> {
  return { [INDEX_VARIABLE]: `${identity.index}`, [IDENTITY_VARIABLE]: JSON.stringify(identity) };
}

/** Returns the identity of this process; undefined if no supervisor started it. */
function ownIdentity(): ProcessIdentity | undefined {
  return thisProcess().identity;
}

/** Returns the number of the next worker that this process creates, from 0. */
function nextWorker(): number {
  const current = thisProcess();
  current.workers += 1;
  return current.workers - 1;
}

/**
 * Returns the index of this process among those of its worker (`app.worker({ processes })`), from 0. Undefined in the
 * supervisor and in a program without such a worker. The whole program runs in each process, so start what must exist once,
 * such as a web server, only where this is undefined.
 * @example
 * if (processIndex() === undefined) console.log('start the web server here');
 */
export function processIndex(): number | undefined {
  return ownIdentity()?.index;
}

function thisProcess(): Process {
  const holder = globalThis as { [PROCESS]?: Process };
  holder[PROCESS] ??= { identity: takeIdentity(process.env), workers: 0 };
  return holder[PROCESS];
}

/** Reads and deletes the variable, so that programs that this process starts do not inherit it. */
function takeIdentity(env: NodeJS.ProcessEnv): ProcessIdentity | undefined {
  const text = env[IDENTITY_VARIABLE];
  delete env[IDENTITY_VARIABLE];
  return text === undefined || process.send === undefined ? undefined : readIdentity(text);
}

export function readIdentity(text: string): ProcessIdentity | undefined {
  let identity: unknown;
  try {
    identity = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isPlainObject(identity)) return undefined;
  const { worker, index, name } = identity;
  return isCount(worker) && isCount(index) && typeof name === 'string' ? { worker, index, name } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

export interface WorkerPlan<Role extends WorkerRole | undefined = WorkerRole | undefined> {
  /** The options before normalization. */
  readonly options: WorkerOptions;
  readonly normalized: NormalizedWorkerOptions;
  /** Undefined in a child process of another worker: this worker does nothing there. */
  readonly role: Role;
}

export type WorkerRole =
  /** Takes jobs. */
  | { readonly kind: 'worker' }
  /** Takes jobs as a child process of a supervisor. */
  | { readonly kind: 'process'; readonly identity: ProcessIdentity }
  /** Child processes take the jobs. `number`: number of the worker among those of the program. */
  | { readonly kind: 'supervisor'; readonly number: number };

/** Returns the plan of a worker. @throws {InvalidOptionError} if the value of an option is invalid. */
export function planWorker(
  options: WorkerOptions,
  defaultName: string,
  store: Pick<Engine, 'isShared' | 'describe'>,
): WorkerPlan {
  const normalized = normalizeWorkerOptions(options, defaultName, store.describe().addresses);
  return { options, normalized, role: roleOf(options, normalized, store.isShared) };
}

function roleOf(
  options: WorkerOptions,
  { processes, watch }: NormalizedWorkerOptions,
  isStoreShared: boolean,
): WorkerRole | undefined {
  const isSupervised = processes > 1 || watch !== undefined;
  if (!isStoreShared) {
    if (!isSupervised) return { kind: 'worker' };
    const option = watch === undefined ? 'processes' : 'watch';
    throw new InvalidOptionError(
      option,
      `absent with a store that other processes cannot reach`,
      options[option],
    );
  }
  const number = nextWorker();
  const identity = ownIdentity();
  if (identity?.worker === number) return { kind: 'process', identity };
  if (identity !== undefined) return undefined;
  return isSupervised ? { kind: 'supervisor', number } : { kind: 'worker' };
}

/** The program of this process, to run in child processes. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Options of Node.js, such as a loader for TypeScript. */
  readonly execArgv: readonly string[];
}

export interface ProgramFacts {
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly isMainThread: boolean;
}

/** Node.js options that run text instead of a file. */
const EVALUATED = /^(-e|-p|-pe|-i|--eval|--print|--interactive)(=|$)/;
const TEST_RUNNER = /[/\\]node_modules[/\\](vitest|tinypool|jest[^/\\]*|mocha|ava)[/\\]/;
/** Two processes cannot listen for a debugger on one port, and Node's watch mode restarts by itself. */
const NOT_PASSED_ON = /^--(inspect|watch)/;

/** Returns the program of this process. @throws {ChildProcessError} if it cannot run in child processes. */
export function programOf(facts: ProgramFacts = { ...ownArguments(), isMainThread }): Program {
  const [, file, ...args] = facts.argv;
  const problem = programProblem(facts, file);
  if (file === undefined || problem !== undefined) {
    throw new ChildProcessError(
      `A worker with \`processes\` or \`watch\` runs its program in child processes: expected a program file, got ${problem}. ` +
        'Start it from a file in the main thread: `node worker.js`.',
    );
  }
  return { file, args, execArgv: facts.execArgv.filter((argument) => !NOT_PASSED_ON.test(argument)) };
}

function programProblem(
  { execArgv, isMainThread: isMain }: ProgramFacts,
  file: string | undefined,
): string | undefined {
  if (execArgv.some((argument) => EVALUATED.test(argument))) return 'code that Node evaluates';
  if (file === undefined) return 'a prompt or standard input';
  if (!isMain) return 'a worker thread';
  if (TEST_RUNNER.test(file)) return `a test runner (${file})`;
  return undefined;
}

function ownArguments(): Pick<ProgramFacts, 'argv' | 'execArgv'> {
  return { argv: process.argv, execArgv: process.execArgv };
}
