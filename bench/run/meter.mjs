// What a part of a run costs: time, processor time of this process and of Redis, commands, bytes.
import { Redis } from 'ioredis';

const NONE = { redisMs: 0, commands: {}, bytes: 0 };

/** Measures this process and, if it has the URL of one, a Redis that nobody else uses meanwhile. */
export class Meter {
  #redis;
  #phases = {};
  #facts = {};

  constructor(url) {
    if (url) this.#redis = new Redis(url);
  }

  /**
   * Measures `run` under a name. The clock stops when it resolves; what it gives, if it is a function, is still called,
   * and counts for everything but the time: it ends what commits the last results.
   */
  async phase(name, run) {
    const before = await this.#mark();
    const startedAt = performance.now();
    const settle = await run();
    const ms = performance.now() - startedAt;
    if (typeof settle === 'function') await settle();
    const after = await this.#mark();
    const commands = {};
    for (const [command, calls] of Object.entries(after.commands)) {
      const more = calls - (before.commands[command] ?? 0);
      if (more > 0 && command !== 'info') commands[command] = more;
    }
    this.#phases[name] = {
      ms,
      cpuMs: after.cpuMs - before.cpuMs,
      redisMs: after.redisMs - before.redisMs,
      commands,
      bytes: after.bytes - before.bytes,
    };
  }

  /** Begins to note how long commands take. */
  async slowCommands() {
    await this.#redis.config('SET', 'latency-monitor-threshold', 1);
    await this.#redis.call('latency', 'reset');
    await this.#redis.config('RESETSTAT');
  }

  /**
   * Notes the longest that Redis was busy with one command since then, transactions as a whole; and of the command that
   * takes longest on average, how long that is. A busy machine makes Redis itself wait, and any command long.
   */
  async slowest() {
    const latest = await this.#redis.call('latency', 'latest');
    this.fact('longest command ms', Math.max(0, ...latest.map(([, , , longest]) => longest)));
    const stats = await this.#redis.info('commandstats');
    const averages = [...stats.matchAll(/^cmdstat_(?!info|config|latency)[^:]+:.*usec_per_call=([\d.]+)/gm)];
    this.fact('longest on average ms', Math.max(...averages.map(([, us]) => Number(us))) / 1000);
  }

  /** Notes a figure that is none of a phase. */
  fact(name, value) {
    this.#facts[name] = value;
  }

  /** What was measured since the last time. */
  take() {
    const taken = { phases: this.#phases, facts: this.#facts };
    this.#phases = {};
    this.#facts = {};
    return taken;
  }

  /** The client to ask Redis other things with. */
  get redis() {
    return this.#redis;
  }

  close() {
    this.#redis?.disconnect();
  }

  async #mark() {
    const ofRedis = this.#redis ? factsOf(await this.#redis.info('cpu', 'memory', 'commandstats')) : NONE;
    const { user, system } = process.cpuUsage();
    return { cpuMs: (user + system) / 1000, ...ofRedis };
  }
}

function factsOf(info) {
  const field = (name) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);
  const calls = [...info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
  return {
    redisMs: (field('used_cpu_user_main_thread') + field('used_cpu_sys_main_thread')) * 1000,
    // Without the buffers of connections, which come and go.
    bytes: field('used_memory') - field('mem_clients_normal'),
    commands: Object.fromEntries(calls.map(([, command, count]) => [command, Number(count)])),
  };
}
