import { InvalidOptionError } from '../../errors.js';
import type { AppWorker } from '../worker/app-worker.js';
import { normalizeWorkerOptions, type WorkerOptions } from '../worker/options.js';
import type { WorkerParts } from '../worker/parts.js';
import { QueueWorker } from '../worker/worker.js';
import { AbsentWorker } from './absent-worker.js';
import { nextWorker, ownPlace } from './place.js';
import { ProcessWorker } from './process-worker.js';
import { SupervisedWorker } from './supervised-worker.js';

/**
 * A worker as its options and the place of this process want it: one that takes jobs, one that lets other processes do
 * so, or, in a process of another worker, one that does nothing.
 * @throws {InvalidOptionError} if an option has a value it cannot have.
 */
export function createWorker(options: WorkerOptions, parts: WorkerParts, isStoreShared: boolean): AppWorker {
  const normalized = normalizeWorkerOptions(options, parts.defaultName);
  const { processes, watch } = normalized;
  const isSupervised = processes > 1 || watch !== undefined;
  if (!isStoreShared) {
    if (!isSupervised) return new QueueWorker(options, parts);
    const option = watch === undefined ? 'processes' : 'watch';
    throw new InvalidOptionError(
      option,
      `absent with a store in this process's memory, which no other process sees`,
      options[option],
    );
  }
  const number = nextWorker();
  const place = ownPlace();
  if (place?.worker === number) return new ProcessWorker(options, normalized, parts, place);
  if (place !== undefined) return new AbsentWorker(normalized.name);
  return isSupervised ? new SupervisedWorker(normalized, parts, number) : new QueueWorker(options, parts);
}
