/** Which process of a worker this one is, as the supervisor that has started it says by the environment. */
import { isPlainObject } from '../../wire/plain-object.js';

/** The place of a process among those of a worker. */
export interface Place {
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
  readonly place: Place | undefined;
  workers: number;
}

/** Process-wide: the program may load several copies of this package. */
const PROCESS = Symbol.for('umbel.process');

/** The variables by which a process that is started learns its place. */
export function placeVariables(place: Place): Record<string, string> {
  return { [INDEX]: `${place.index}`, [PLACE]: JSON.stringify(place) };
}

/** The place of this process; undefined if no supervisor has started it. */
export function ownPlace(): Place | undefined {
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
  return ownPlace()?.index;
}

function thisProcess(): Process {
  const holder = globalThis as { [PROCESS]?: Process };
  holder[PROCESS] ??= { place: takePlace(process.env), workers: 0 };
  return holder[PROCESS];
}

/** Reads the variables once and for all: what this process starts itself is not to find them. */
function takePlace(env: NodeJS.ProcessEnv): Place | undefined {
  const text = env[PLACE];
  delete env[PLACE];
  return text === undefined || process.send === undefined ? undefined : readPlace(text);
}

export function readPlace(text: string): Place | undefined {
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
