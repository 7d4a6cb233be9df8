/** This module chooses the engine of a connection. */
import type { BackendFactory, ConnectionOptions } from 'bullmq';
import { optionalPeer } from '../../base/modules.js';
import { type Engine, knownEngine } from './engine.js';
import { pgliteEngine } from './pglite/engine.js';
import { postgresEngine } from './postgres/engine.js';
import { DEFAULT_URL, redisEngine } from './redis/engine.js';
import { refusedUrl } from './urls.js';

/**
 * Returns the engine of a connection. Opens nothing.
 * @param option Names the source of the connection, for errors.
 * @throws {InvalidOptionError} for a URL with another scheme or an invalid one.
 * @throws {MissingPackageError} if the engine needs a package that is not installed.
 */
export function resolveEngine(
  option: string,
  source: string | ConnectionOptions | BackendFactory = DEFAULT_URL,
): Engine {
  if (typeof source === 'function') return knownEngine(source) ?? factoryEngine(source);
  if (typeof source !== 'string' || /^rediss?:\/\/./.test(source)) return redisEngine(option, source);
  if (/^postgres(?:ql)?:\/\/./.test(source)) return postgresEngine(option, source);
  if (source.startsWith('pglite:')) return pgliteEngine(option, source);
  if (source === 'memory:') return factoryEngine(memoryOfProcess());
  throw refusedUrl(
    option,
    source,
    'a redis:// or rediss:// URL such as redis://127.0.0.1:6379, a postgres:// URL such as postgres://user@host/db, ' +
      'pglite:./folder, or memory:',
  );
}

/** Own property, true, of backend factories whose store is in the memory of this process. */
const IN_PROCESS = Symbol.for('umbel.in-process-store');

/** Returns the engine for a backend factory. */
function factoryEngine(factory: BackendFactory): Engine {
  const isShared = (factory as { [IN_PROCESS]?: unknown })[IN_PROCESS] !== true;
  return {
    kind: isShared ? 'other' : 'memory',
    isShared,
    ...(!isShared && { isInMemory: true as const }),
    options: {},
    factory,
    isClient: false,
    mayStaySilent: false,
    address: isShared ? 'a store of its own' : 'the memory of this process',
    describe: () => ({ kind: 'other', addresses: [], database: 0, isEncrypted: false }),
    advise: () => undefined,
  };
}

let memory: BackendFactory | undefined;

/** Returns the store of `memory:`, which all apps of this process share. */
function memoryOfProcess(): BackendFactory {
  if (memory === undefined) {
    const loaded = optionalPeer('@umbel/testing', 'The connection "memory:"', () => undefined);
    memory = (loaded as { memory: () => BackendFactory }).memory(); // its public function
  }
  return memory;
}
