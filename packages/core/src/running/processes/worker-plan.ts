/** What a worker is to be, as its options and the place of this process want it: known before any of its code is loaded. */
import { InvalidOptionError } from '../../errors.js';
import {
  type NormalizedWorkerOptions,
  normalizeWorkerOptions,
  type WorkerOptions,
} from '../worker/options.js';
import { nextWorker, ownPlace, type Place } from './place.js';

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
  | { readonly kind: 'process'; readonly place: Place }
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
  const place = ownPlace();
  if (place?.worker === number) return { kind: 'process', place };
  if (place !== undefined) return undefined;
  return isSupervised ? { kind: 'supervisor', number } : { kind: 'worker' };
}
