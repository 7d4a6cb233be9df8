// The rounds of a row: every system in turn, again and again, so that what else the machine does falls on all alike.
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { celeryProgram, HOW_TO_INSTALL } from '../systems/celery.mjs';
import { delayedNetwork } from './delayed-network.mjs';
import { Peer } from './peer.mjs';
import { startRedis } from './redis-server.mjs';

/** No run of one system takes longer on any machine that is worth measuring on. */
const LIMIT_MS = 120_000;

/**
 * What each system measured in each round: `{ umbel: { size, runs: [{ phases, facts }, …] }, … }`, or `{ missing }` for
 * one that could not run. The first round is not kept: it warms up.
 * A row with `networkMs` has a network with that delay each way between the systems and Redis.
 * `against` is the folder of another checkout, whose Umbel takes part as `before`.
 */
export async function runRow(name, row, { systems, rounds, quick, hasCelery, against, say }) {
  const redis = row.needsRedis === false ? undefined : await startRedis({ durable: false });
  const control = redis && new Redis(redis.url);
  const network = row.networkMs === undefined ? undefined : await delayedNetwork(redis.url, row.networkMs);
  const urls = redis && [redis.url, network?.url ?? redis.url];
  const others = { ...(row.celery && { celery: true }), ...(against && { before: true }) };
  const entries = Object.keys({ ...row.systems, ...others })
    .filter((system) => systems === undefined || systems.includes(system))
    .map((system) => [system, new Entry(name, row, system, { urls, quick, hasCelery, against })]);
  try {
    for (let round = 0; round <= rounds; round += 1) {
      say(`${name}: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`);
      for (const [, entry] of entries) {
        await control?.flushall();
        await control?.config('RESETSTAT');
        await entry.run(round > 0);
      }
    }
    return Object.fromEntries(entries.map(([system, entry]) => [system, entry.told]));
  } finally {
    for (const [, entry] of entries) await entry.stop();
    control?.disconnect();
    await network?.stop();
    await redis?.stop();
  }
}

/** One system in one row. */
class Entry {
  told;
  #row;
  #request;
  #program;
  #peer;

  constructor(name, row, system, { urls = [], quick, hasCelery, against }) {
    const { size: sizes } = row;
    const own = system === 'celery' ? ((quick ? sizes.celeryQuick : undefined) ?? sizes.celery) : undefined;
    const size = own ?? (quick ? sizes.quick : sizes.full);
    this.#row = row;
    this.told = { size, runs: [] };
    if (system === 'celery') {
      if (!hasCelery) this.told = { missing: `not installed: ${HOW_TO_INSTALL}` };
      this.#request = { call: row.celery(size) };
      this.#program = celeryProgram(urls[1]);
    } else {
      this.#request = { size };
      this.#program = {
        command: process.execPath,
        args: ['run/child.mjs', name, system === 'before' ? 'umbel' : system, ...urls],
        ...(system === 'before' && { cwd: join(against, 'bench') }),
      };
    }
  }

  async run(isKept) {
    if (this.told.missing !== undefined) return;
    try {
      this.#peer ??= new Peer(this.#program);
      const answer = await this.#peer.ask(this.#request, LIMIT_MS);
      if (isKept) this.told.runs.push(answer);
      // Celery remembers which queues it has declared, and a Redis that was emptied has forgotten them.
      if (this.#row.isFresh || this.#request.call !== undefined) await this.stop();
    } catch (error) {
      this.told = { missing: `failed: ${error.message}` };
    }
  }

  async stop() {
    await this.#peer?.stop();
    this.#peer = undefined;
  }
}
