/**
 * Health of a worker: the probes (`/livez`, `/readyz`, `/metrics`), the load of the event loop, and the checks of the store
 * before the worker takes jobs. A store outage makes a worker unready but keeps it live.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from 'node:perf_hooks';
import { clearTimeout, setTimeout } from '../base/real-timers.js';

/**
 * Health of a worker, as its probes report it.
 * @example
 * const worker = await app.worker().start();
 * const { ready, reasons } = await worker.health();
 */
export interface WorkerHealth {
  /** False if the worker takes no jobs for no known reason: restart it. */
  readonly live: boolean;
  /** Whether the worker takes jobs: it is started, not closing, and its store answers. */
  readonly ready: boolean;
  /** Why the worker is not live or not ready. */
  readonly reasons: readonly string[];
}

export interface HealthFacts {
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  /** Whether the store answered within the last moments. */
  readonly isStoreReached: boolean;
  /** Queues that were not polled recently although the worker had capacity, with the time since the last poll. */
  readonly idleQueues: readonly { readonly queue: string; readonly idleMs: number }[];
}

/** Returns the health of a worker. An unreachable store is no reason to restart a worker. */
export function healthOf({ state, isStoreReached, idleQueues }: HealthFacts): WorkerHealth {
  const reasons: string[] = [];
  if (state !== 'running') reasons.push(`the worker is ${state}`);
  const isReached = state === 'new' || state === 'closed' || isStoreReached;
  if (!isReached) reasons.push('the store does not answer');
  for (const { queue, idleMs } of idleQueues)
    reasons.push(`queue "${queue}" was not polled for ${Math.round(idleMs / 1000)} s`);
  return {
    live: state !== 'closed' && idleQueues.length === 0,
    ready: state === 'running' && isReached && idleQueues.length === 0,
    reasons,
  };
}

/**
 * Metrics for the health server, such as those of `@umbel/core/prometheus`.
 * @example
 * const own: MetricsSource = { contentType: 'text/plain', text: async () => 'shop_workers 1' };
 * app.worker({ health: { port: 9090, metrics: own } });
 */
export interface MetricsSource {
  /** Value of the header `content-type`. */
  readonly contentType: string;
  /** Returns the current metrics as text. */
  text(): Promise<string>;
  /** Returns the metrics as plain data, in a child process of a worker with several processes. */
  json?(): Promise<readonly unknown[]>;
  /** Merges the metrics of several processes into one text. Without `json` and this, only the supervisor's are served. */
  together?(processes: readonly (readonly unknown[])[]): Promise<string>;
}

/** Longest time for a client to send its request. */
const REQUEST_MS = 10_000;
/** Longest wait of `close` for a pending answer: longer than the store probe takes. */
const ANSWER_MS = 3000;

/**
 * Answers `/livez` and `/readyz`, and `/metrics` if there are metrics, until it is closed. Neither the server nor its
 * connections keep the process alive.
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
      this.#trackAnswer(response);
      const path = request.url?.split('?', 1)[0];
      const kind = path === '/livez' ? 'live' : path === '/readyz' ? 'ready' : undefined;
      response.setHeader('content-type', 'application/json');
      response.setHeader('connection', 'close'); // probes are single requests, and an idle connection would delay the close
      if (path === '/metrics' && metrics !== undefined) {
        void answerMetrics(response, metrics);
        return;
      }
      if (kind === undefined) {
        response
          .writeHead(404)
          .end(`${JSON.stringify({ error: `unknown path, use ${paths.join(', ')}` })}\n`);
        return;
      }
      void health().then((state) => {
        response.writeHead(state[kind] ? 200 : 503).end(`${JSON.stringify(state)}\n`);
      });
    });
    this.#server.unref();
    this.#server.on('connection', (socket) => {
      socket.unref();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Resolves with the port once the server listens. Rejects with the server's error if the port is not available. */
  listen(port: number, host: string | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.once('close', () => resolve(port)); // closed before it listened
      this.#server.listen({ port, host }, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
        // It may have been closed during the lookup of the host name.
        if (this.#closing !== undefined) this.#server.close();
      });
    });
  }

  /** Ends every connection; one with a pending answer once it is sent, or after 3 s. */
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

  /** The HTTP server does not count a connection without a request as idle, so sockets are destroyed here. */
  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #trackAnswer(response: ServerResponse): void {
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
    response.writeHead(500).end('{"error":"the metrics are not available"}\n'); // the reason may be sensitive
  }
}

export interface EventLoopLoad {
  /** Share of the time since the last measurement in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** Longest delay of the event loop since the last measurement, in milliseconds. */
  readonly delayMs: number;
}

const RESOLUTION_MS = 20;

/** Measures the event loop from its creation until `stop`. */
export class EventLoopMeter {
  readonly #resolutionMs: number;
  readonly #delays: IntervalHistogram;
  #last: EventLoopUtilization = performance.eventLoopUtilization();

  /** @param resolutionMs Interval between two samples of the event loop. */
  constructor(resolutionMs = RESOLUTION_MS) {
    this.#resolutionMs = resolutionMs;
    this.#delays = monitorEventLoopDelay({ resolution: resolutionMs });
    this.#delays.enable();
  }

  /** The share of the time since the last `take` in which the event loop was busy, from 0 to 1. */
  get utilization(): number {
    return performance.eventLoopUtilization(this.#last).utilization;
  }

  /** Returns the load since the last call. */
  take(): EventLoopLoad {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#last);
    this.#last = now;
    // The histogram includes its own interval, and its maximum is invalid without samples.
    const delayMs = this.#delays.count === 0 ? 0 : Math.max(0, this.#delays.max / 1e6 - this.#resolutionMs);
    this.#delays.reset();
    return { utilization, delayMs };
  }

  stop(): void {
    this.#delays.disable();
  }
}
