/**
 * This module creates ioredis clients that cost less to open: they share scripts (`shared-scripts.ts`), join the writes of
 * a turn of the event loop, and ask a server once what each connection of an app needs to know. Everything else is
 * ioredis's.
 */
import type { Command, Redis, RedisOptions } from 'ioredis';
import { optionalPeer } from '../../../base/modules.js';
import { performance } from '../../../base/real-timers.js';
import { forgetScript, noteServer, type RunScript, scriptMethods, sharedScript } from './shared-scripts.js';

/** How long a connection that opens relies on what another one was told, in milliseconds. */
const RECENT_MS = 1000;

/** The part of an answer to INFO that connections of an app share. */
interface ServerInfo {
  /** The lines that BullMQ reads: versions, and the policy for a full memory. */
  readonly versions: string;
  /** The id that the server got when it started. */
  readonly runId: string | undefined;
}

function readInfo(text: string): ServerInfo {
  const names = ['version:', 'server:', 'maxmemory_policy:'];
  const lines = text.split(/\r?\n/).filter((line) => names.some((name) => line.includes(name)));
  return { versions: lines.join('\n'), runId: /^run_id:(\w+)/m.exec(text)?.[1] };
}

/** The last answer of the server of an app to the question whether it has loaded its data. */
export class ReadyChecks {
  #info: ServerInfo | undefined;
  #at = Number.NEGATIVE_INFINITY;

  /** Returns the answer of a server that was ready; undefined if it is too old. */
  recent(): ServerInfo | undefined {
    return performance.now() - this.#at < RECENT_MS ? this.#info : undefined;
  }

  note(text: string): ServerInfo {
    const info = readInfo(text);
    if (!/^loading:[^0]/m.test(text)) {
      this.#info = info;
      this.#at = performance.now();
    }
    return info;
  }
}

/** The part of an answer to INFO that ioredis reads when no sentinel is used. */
const IS_READY = 'loading:0';

type InfoCallback = (error: Error | null, text?: string) => void;
type Info = (...args: unknown[]) => Promise<string>;
type SendCommand = Redis['sendCommand'];

type ClientClass = new (...args: [options: RedisOptions] | [url: string, options: RedisOptions]) => Redis;

let clientClass: ClientClass | undefined;

/** Creates a client, which connects at once. @param url Has precedence over options. */
export function createClient(url: string | undefined, options: RedisOptions, checks: ReadyChecks): Redis {
  clientClass ??= createClientClass();
  const client = url === undefined ? new clientClass(options) : new clientClass(url, options);
  sharesInfo(client, checks);
  return client;
}

function createClientClass(): ClientClass {
  const Base = loadRedisClass();
  const methodOf = scriptMethods(Base.Command);
  /** By script. */
  const methods = new Map<object, RunScript>();
  class SharedRedis extends Base {
    /** Defines a script. Defining it again makes its next use send its text. */
    override defineCommand(
      name: string,
      { lua, numberOfKeys = 0 }: Parameters<Redis['defineCommand']>[1],
    ): void {
      const scripts: Record<string, unknown> = this.scriptsSet;
      const script = sharedScript(lua, numberOfKeys);
      let method = methods.get(script);
      if (method === undefined) {
        method = methodOf(script);
        methods.set(script, method);
      }
      if (scripts[name] === script) forgetScript(this.stream, script);
      scripts[name] = script;
      (this as unknown as Record<string, RunScript>)[name] = method;
    }

    /** Sends commands of one turn of the event loop with one write. */
    override sendCommand(...[command, stream]: Parameters<SendCommand>): ReturnType<SendCommand> {
      const socket: Redis['stream'] | undefined = this.stream;
      if (stream === undefined && socket !== undefined && socket.writableCorked === 0) {
        socket.cork();
        process.nextTick(uncork, socket);
      }
      return super.sendCommand(command, stream);
    }
  }
  return SharedRedis as ClientClass;
}

function uncork(socket: Redis['stream']): void {
  socket.uncork();
}

/**
 * Reuses answers to INFO. ioredis asks on each new connection whether the server has loaded its data, and BullMQ then asks
 * for the version. A client that connects for the first time relies on another one that has just asked, unless a sentinel
 * named the server: then ioredis also checks its role. Restarted servers are asked by each connection.
 */
function sharesInfo(client: Redis, checks: ReadyChecks): void {
  const info = client.info.bind(client) as unknown as Info;
  const { sentinels, skipVersionCheck } = client.options as RedisOptions & { skipVersionCheck?: boolean };
  let mayRely = sentinels === undefined || sentinels === null;
  /** For BullMQ, which asks once. */
  let answer: string | undefined;
  let hasAnswered = skipVersionCheck === true;

  const checkReady = (onAnswer: InfoCallback): Promise<string> => {
    const recent = mayRely ? checks.recent() : undefined;
    mayRely = false;
    if (recent === undefined) {
      return info((error: Error | null, text: string) => {
        if (!error && typeof text === 'string') noteAnswer(checks.note(text));
        onAnswer(error, text);
      });
    }
    noteAnswer(recent);
    onAnswer(null, IS_READY);
    return Promise.resolve(IS_READY);
  };
  const noteAnswer = ({ versions, runId }: ServerInfo) => {
    if (!hasAnswered) answer = versions;
    noteServer(client.stream, runId);
  };

  const shared: Info = (...args) => {
    const [onAnswer] = args;
    if (args.length === 1 && typeof onAnswer === 'function') return checkReady(onAnswer as InfoCallback);
    if (args.length > 0 || answer === undefined) return info(...args);
    const text = answer;
    answer = undefined;
    hasAnswered = true;
    return Promise.resolve(text);
  };
  Object.assign(client, { info: shared });
}

/** Loads the package at its first use: programs on other stores do not need it. */
function loadRedisClass(): typeof Redis & { readonly Command: typeof Command } {
  const loaded = optionalPeer('ioredis', 'A connection to Redis', bundled) as {
    Redis: typeof Redis & { readonly Command: typeof Command }; // its public classes
  };
  return loaded.Redis;
}

/** Loads the package inside a bundle. Without a bundler there is no `require`, and an excluded package is missing. */
function bundled(): unknown {
  try {
    return require('ioredis');
  } catch {
    return undefined;
  }
}
