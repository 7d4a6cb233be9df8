/** Whether a worker lives and takes jobs, for whoever starts and stops it. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from 'node:perf_hooks';
import { StoreConfigurationError } from '../base/errors.js';
import { clearTimeout, setTimeout } from '../base/real-timers.js';
import type { ServerFacts } from '../store/connection.js';

export interface WorkerHealth {
  /** False for one that does not take jobs though it should, and has no reason to: it is best started anew. */
  readonly live: boolean;
  /** Whether it takes jobs: it has started, is not closing, and reaches its store. */
  readonly ready: boolean;
  /** Why it is not live or not ready. */
  readonly reasons: readonly string[];
}

export interface HealthFacts {
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  /** Whether the store has answered just now. */
  readonly isStoreReached: boolean;
  /** Queues that were not asked for jobs lately though there was room for one, each with how long ago it was. */
  readonly idleQueues: readonly { readonly queue: string; readonly idleMs: number }[];
}

/** Judges a worker. A store that is away is no reason to start a worker anew. */
export function healthOf({ state, isStoreReached, idleQueues }: HealthFacts): WorkerHealth {
  const reasons: string[] = [];
  if (state !== 'running') reasons.push(`the worker is ${state}`);
  const isReached = state === 'new' || state === 'closed' || isStoreReached;
  if (!isReached) reasons.push('the store does not answer');
  for (const { queue, idleMs } of idleQueues)
    reasons.push(`queue "${queue}" was not asked for jobs for ${Math.round(idleMs / 1000)} s`);
  return {
    live: state !== 'closed' && idleQueues.length === 0,
    ready: state === 'running' && isReached && idleQueues.length === 0,
    reasons,
  };
}

/** Metrics as text, for whoever collects them. */
export interface MetricsSource {
  /** For the header `content-type`. */
  readonly contentType: string;
  /** The metrics as they are now. */
  text(): Promise<string>;
  /** The same as plain data, in a process of a worker that has several. */
  json?(): Promise<readonly unknown[]>;
  /** What those of several processes are as one, as text. Without these two, only those of the first process are given. */
  together?(processes: readonly (readonly unknown[])[]): Promise<string>;
}

/** How long whoever connects may take to say what it wants. */
const REQUEST_MS = 10_000;
/** How long an answer that is under way may keep the server from closing: more than asking the store takes. */
const ANSWER_MS = 3000;

/**
 * Answers `/livez` and `/readyz` until it is closed, and `/metrics` if there are any. Neither it nor who is connected to
 * it keeps the process alive.
 * @throws the server's error if the port cannot be had.
 */
export class HealthServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #answering = 0;
  #closing: Promise<void> | undefined;

  constructor(health: () => Promise<WorkerHealth>, metrics?: MetricsSource) {
    const paths = ['/livez', '/readyz', ...(metrics === undefined ? [] : ['/metrics'])];
    const limits = {
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: REQUEST_MS / 2,
    };
    this.#server = createServer(limits, (request, response) => {
      this.#note(response);
      const path = request.url?.split('?', 1)[0];
      const kind = path === '/livez' ? 'live' : path === '/readyz' ? 'ready' : undefined;
      response.setHeader('content-type', 'application/json');
      response.setHeader('connection', 'close'); // probes come one at a time, and nothing is to keep the server open
      if (path === '/metrics' && metrics !== undefined) {
        void answerMetrics(response, metrics);
        return;
      }
      if (kind === undefined) {
        response.writeHead(404).end(`${JSON.stringify({ error: `there are ${paths.join(', ')}` })}\n`);
        return;
      }
      void health().then((found) => {
        response.writeHead(found[kind] ? 200 : 503).end(`${JSON.stringify(found)}\n`);
      });
    });
    this.#server.unref();
    this.#server.on('connection', (socket) => {
      socket.unref();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** The port, once it listens. */
  listen(port: number, host: string | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.once('close', () => resolve(port)); // before it has listened, which it never does then
      this.#server.listen({ port, host }, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
        // It may have been closed while the name of the host was looked up.
        if (this.#closing !== undefined) this.#server.close();
      });
    });
  }

  /** Ends every connection: those with an answer under way once that has gone out, or has taken too long. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#answering === 0) this.#destroyAll();
    const timer = setTimeout(() => this.#destroyAll(), ANSWER_MS);
    await closed;
    clearTimeout(timer);
  }

  /** Who has said nothing yet is not known to the HTTP server as idle, so sockets are destroyed here. */
  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #note(response: ServerResponse): void {
    this.#answering += 1;
    response.once('close', () => {
      this.#answering -= 1;
      if (this.#closing !== undefined && this.#answering === 0) this.#destroyAll();
    });
  }
}

async function answerMetrics(response: ServerResponse, metrics: MetricsSource): Promise<void> {
  try {
    const text = await metrics.text();
    response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
  } catch {
    response.writeHead(500).end('{"error":"the metrics cannot be given"}\n'); // why is not for whoever asks
  }
}

// How busy this process is.

export interface EventLoopLoad {
  /** How much of the time since the last look the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** How late the event loop was at worst since the last look, in milliseconds. */
  readonly delayMs: number;
}

const RESOLUTION_MS = 20;

/** Measures from its making to `stop`. */
export class EventLoopMeter {
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #last: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.#delays.enable();
  }

  /** The load since the last call. */
  take(): EventLoopLoad {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#last);
    this.#last = now;
    // The histogram counts its own interval too; of one without a sample it tells nonsense.
    const delayMs = this.#delays.count === 0 ? 0 : Math.max(0, this.#delays.max / 1e6 - RESOLUTION_MS);
    this.#delays.reset();
    return { utilization, delayMs };
  }

  stop(): void {
    this.#delays.disable();
  }
}

// What a worker demands of its store before it takes jobs, and what it warns of.

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
