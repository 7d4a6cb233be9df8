/** What a worker demands of its store before it takes jobs, and what it warns of. */
import type { ServerFacts } from '../../bullmq/server-facts.js';
import { StoreConfigurationError } from '../../errors.js';

/** What BullMQ's scripts need, and what it recommends. @see https://docs.bullmq.io/guide/redis-tm-compatibility */
const OLDEST = '5.0.0';
const RECOMMENDED = '6.2.0';

export interface StoreDemands {
  readonly prefix: string;
  readonly allowsEviction: boolean;
}

/**
 * Warnings about a store.
 * @throws {StoreConfigurationError} if jobs could not be run with it, or would be lost.
 */
export function checkStore(facts: ServerFacts, { prefix, allowsEviction }: StoreDemands): string[] {
  const { evictionPolicy = 'noeviction', version, isCluster, hasAppendOnlyFile } = facts;
  if (version !== undefined && isOlder(version, OLDEST)) {
    throw new StoreConfigurationError(
      `The store is Redis ${version}; ${OLDEST} is the oldest that will do, ${RECOMMENDED} or newer is better. Update it.`,
    );
  }
  if (isCluster && !/\{[^{}]+\}/.test(prefix)) {
    throw new StoreConfigurationError(
      `The store is a Redis Cluster, and the prefix "${prefix}" lets it spread the keys of one workflow over several ` +
        `nodes, where no script reaches them together. Put a part of it into braces: createApp({ prefix: '{${prefix}}' }).`,
    );
  }
  // W20: refuses a store that evicts keys.
  if (evictionPolicy !== 'noeviction' && !allowsEviction) {
    throw new StoreConfigurationError(
      `The store evicts keys when its memory is full (maxmemory-policy ${evictionPolicy}), and so would lose jobs. ` +
        'Set its maxmemory-policy to noeviction; or, if a lost job is no loss, start with app.worker({ allowEviction: true }).',
    );
  }
  const warnings: string[] = [];
  if (version !== undefined && isOlder(version, RECOMMENDED)) {
    warnings.push(`the store is Redis ${version}; ${RECOMMENDED} or newer is recommended`);
  }
  if (hasAppendOnlyFile === false) {
    warnings.push(
      'the store keeps no append-only file: what it has taken since its last snapshot is lost when it stops. ' +
        'Set `appendonly yes` where that matters',
    );
  }
  return warnings;
}

function isOlder(version: string, than: string): boolean {
  const parts = (text: string) => text.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [a, b] = [parts(version), parts(than)];
  const index = b.findIndex((part, place) => (a[place] ?? 0) !== part);
  return index >= 0 && (a[index] ?? 0) < (b[index] ?? 0);
}
