/** What a worker is to be, as its options and the place of this process want it: known before any of its code is loaded. */

import { isMainThread } from 'node:worker_threads';
import { ChildProcessError, InvalidOptionError } from '../../base/errors.js';
import { isPlainObject } from '../../base/text.js';
import { type NormalizedWorkerOptions, normalizeWorkerOptions, type WorkerOptions } from '../options.js';

// Which process of a worker this one is, as the supervisor that has started it says by the environment.

/** The place of a process among those of a worker. */
export interface ProcessIdentity {
  /** Which of the workers that the program makes, counted from 0. */
  readonly worker: number;
  /** Among the processes of that worker, from 0. One that replaces another has its index. */
  readonly index: number;
  /** Of the worker. */
  readonly name: string;
}

/** For whoever wants to know, such as a shell script that a handler starts. */
const INDEX = 'UMBEL_PROCESS';
const PLACE = 'UMBEL_SUPERVISED';

interface Process {
  readonly place: ProcessIdentity | undefined;
  workers: number;
}

/** Process-wide: the program may load several copies of this package. */
const PROCESS = Symbol.for('umbel.process');

/** The variables by which a process that is started learns its place. */
export function identityVariables(place: ProcessIdentity): Record<string, string> {
  return { [INDEX]: `${place.index}`, [PLACE]: JSON.stringify(place) };
}

/** The place of this process; undefined if no supervisor has started it. */
export function ownIdentity(): ProcessIdentity | undefined {
  return thisProcess().place;
}

/** The number of the next worker that this process makes, from 0. */
export function nextWorker(): number {
  const own = thisProcess();
  own.workers += 1;
  return own.workers - 1;
}

/**
 * The index of this process among those of its worker (`app.worker({ processes })`), from 0. Undefined in the program's
 * first process, which supervises them, and in a program without such a worker. The whole program runs in each of them,
 * so what is to be there once, such as a web server, belongs where this is undefined.
 */
export function processIndex(): number | undefined {
  return ownIdentity()?.index;
}

function thisProcess(): Process {
  const holder = globalThis as { [PROCESS]?: Process };
  holder[PROCESS] ??= { place: takePlace(process.env), workers: 0 };
  return holder[PROCESS];
}

/** Reads the variables once and for all: what this process starts itself is not to find them. */
function takePlace(env: NodeJS.ProcessEnv): ProcessIdentity | undefined {
  const text = env[PLACE];
  delete env[PLACE];
  return text === undefined || process.send === undefined ? undefined : readIdentity(text);
}

export function readIdentity(text: string): ProcessIdentity | undefined {
  let place: unknown;
  try {
    place = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isPlainObject(place)) return undefined;
  const { worker, index, name } = place;
  return isCount(worker) && isCount(index) && typeof name === 'string' ? { worker, index, name } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

export interface WorkerPlan<Role extends WorkerRole | undefined = WorkerRole | undefined> {
  /** As given. */
  readonly options: WorkerOptions;
  readonly normalized: NormalizedWorkerOptions;
  /** Undefined: this is a process of another worker, and it does nothing. */
  readonly role: Role;
}

export type WorkerRole =
  /** Takes jobs. */
  | { readonly kind: 'worker' }
  /** Takes jobs, as one of the processes of a supervisor. */
  | { readonly kind: 'process'; readonly place: ProcessIdentity }
  /** Lets other processes take jobs. `number`: which of the program's workers it is. */
  | { readonly kind: 'supervisor'; readonly number: number };

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export function planWorker(options: WorkerOptions, defaultName: string, isStoreShared: boolean): WorkerPlan {
  const normalized = normalizeWorkerOptions(options, defaultName);
  return { options, normalized, role: roleOf(options, normalized, isStoreShared) };
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
      `absent with a store in this process's memory, which no other process sees`,
      options[option],
    );
  }
  const number = nextWorker();
  const place = ownIdentity();
  if (place?.worker === number) return { kind: 'process', place };
  if (place !== undefined) return undefined;
  return isSupervised ? { kind: 'supervisor', number } : { kind: 'worker' };
}

// The program that this process runs, to be run again in further ones.

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Node's own, such as a loader for TypeScript. */
  readonly execArgv: readonly string[];
}

export interface ProgramFacts {
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly isMainThread: boolean;
}

/** Text that is run, and no file. */
const EVALUATED = /^(-e|-p|-pe|-i|--eval|--print|--interactive)(=|$)/;
const TEST_RUNNER = /[/\\]node_modules[/\\](vitest|tinypool|jest[^/\\]*|mocha|ava)[/\\]/;
/** Two processes cannot listen for a debugger on one port; and Node's own watch mode starts anew by itself. */
const NOT_PASSED_ON = /^--(inspect|watch)/;

/** @throws {ChildProcessError} if there is none that could be run again. */
export function programOf(facts: ProgramFacts = { ...ownArguments(), isMainThread }): Program {
  const [, file, ...args] = facts.argv;
  const reason = unfit(facts, file);
  if (file === undefined || reason !== undefined) {
    throw new ChildProcessError(
      `A worker with \`processes\` or \`watch\` runs its program again in further processes, so it needs a file ${reason}. ` +
        'Start it from a file: `node worker.js`.',
    );
  }
  return { file, args, execArgv: facts.execArgv.filter((argument) => !NOT_PASSED_ON.test(argument)) };
}

function unfit(
  { execArgv, isMainThread: isMain }: ProgramFacts,
  file: string | undefined,
): string | undefined {
  if (execArgv.some((argument) => EVALUATED.test(argument))) return 'and not text that Node evaluates';
  if (file === undefined) return 'of its own, but runs from a prompt or from standard input';
  if (!isMain) return 'that is started in the main thread, and not in a worker thread';
  if (TEST_RUNNER.test(file)) return `of its own, and not a test runner (${file})`;
  return undefined;
}

function ownArguments(): Pick<ProgramFacts, 'argv' | 'execArgv'> {
  return { argv: process.argv, execArgv: process.execArgv };
}
