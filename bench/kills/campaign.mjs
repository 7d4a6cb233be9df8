// One system through the whole plan: its own Redis, its sender, its workers, and a ledger outside of all of them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { startRedis } from '../run/redis-server.mjs';
import { count, readLedger } from './ledger.mjs';
import { startSender, startWorker } from './processes.mjs';

const POLL_MS = 1000;
/** When nothing has moved for so long, what still moves waits for a timeout. */
const STILL_MS = 5000;

/** A Redis, a sender and workers of `system`, and what the ledger says. */
export async function setup(system, { workers, concurrency }) {
  const redis = await startRedis();
  const folder = mkdtempSync(join(tmpdir(), 'umbel-kills-'));
  const log = join(folder, 'log');
  const ledger = join(folder, 'ledger');
  const env = { ...system.env, REDIS: redis.url, LEDGER: ledger, CONCURRENCY: `${concurrency}` };
  const start = (index) => startWorker({ ...system.worker(index, concurrency), env, log });
  const sender = startSender({ ...system.sender, env, log });
  const pool = Array.from({ length: workers }, (_, index) => start(index));
  await Promise.all(pool.map(({ ready }) => ready));
  return {
    redis,
    sender,
    ledger: () => readLedger(ledger),
    allReady: () => Promise.all(pool.map(({ ready }) => ready)),
    /** `kill -9` of a worker and all its children; another takes its place at once. */
    async killWorker(index) {
      await pool[index].kill();
      const killedAt = Date.now();
      pool[index] = start(index);
      return killedAt;
    },
    async stop() {
      await sender.stop();
      await Promise.all(pool.map((worker) => worker.kill()));
      await redis.stop();
    },
    /** Removes ledger and log, which are kept when something went wrong. */
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Sends, kills, waits and counts. */
export async function runCampaign(system, plan, { workers, concurrency, roundMs, say }) {
  const world = await setup(system, { workers, concurrency });
  try {
    let lastKillAt = 0;
    for (const [round, { chords, killAfterMs, victim }] of plan.entries()) {
      await Promise.all([
        setTimeout(killAfterMs).then(async () => {
          lastKillAt = await world.killWorker(victim);
        }),
        world.sender.ask({ send: chords }),
        setTimeout(roundMs),
      ]);
      await world.allReady(); // so that every kill meets the same number of workers
      if ((round + 1) % 10 === 0) say(`${round + 1} of ${plan.length} kills`);
    }
    const { states, skippedS, waiting } = await settle(world, system, say);
    const left = system.tellsLeft ? await world.sender.ask({ left: null }) : undefined;
    const sent = plan.flatMap(({ chords }) => chords);
    const told = Object.values(states);
    const { lastBodyAt, ...counts } = count(world.ledger(), {
      chords: sent.length,
      header: sent[0].ms.length,
    });
    world.remove();
    const isDone = told.every((state) => state === 'done');
    return {
      ...counts,
      wronglyFailed: told.filter((state) => state === 'failed').length,
      noResult: told.filter((state) => state !== 'done').length,
      skippedS,
      waiting,
      left,
      recoveredS: isDone ? Math.max(0, Math.round((lastBodyAt - lastKillAt) / 1000)) : null,
      redis: world.redis.version,
    };
  } finally {
    await world.stop();
  }
}

/** Waits until every chord has ended, or nothing has moved for as long as the system may take to come back. */
export async function settle(world, system, say) {
  let skippedS = 0;
  let waiting = 0;
  let before = '';
  let movedAt = Date.now();
  for (;;) {
    const states = await world.sender.ask({ states: null });
    const now = JSON.stringify([states, world.ledger().length]);
    if (now !== before) movedAt = Date.now();
    before = now;
    if (!Object.values(states).includes('open')) return { states, skippedS, waiting };
    const quietMs = Date.now() - movedAt;
    if (system.skipS !== undefined && skippedS === 0 && quietMs > STILL_MS) {
      ({ waiting } = await world.sender.ask({ skip: system.skipS }));
      skippedS = system.skipS;
      say(`${waiting} messages wait for the visibility timeout; ${skippedS} s of it are skipped`);
      movedAt = Date.now();
    } else if (quietMs > system.quietS * 1000) {
      return { states, skippedS, waiting };
    }
    await setTimeout(POLL_MS);
  }
}
