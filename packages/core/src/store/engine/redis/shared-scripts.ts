/**
 * This module runs Lua scripts for all connections of the process. Each text is hashed once, and its whole text is sent to a
 * server once: ioredis hashes all scripts again for each client, and sends each text again on each connection.
 *
 * A server may forget its scripts at any time. It then rejects the digest, and the text is sent.
 */
import { createHash } from 'node:crypto';
import type { Command, Redis } from 'ioredis';

/** A script in the form that ioredis keeps in `scriptsSet`. */
interface SharedScript {
  readonly lua: string;
  readonly numberOfKeys: number;
  readonly sha: string;
}

/** By text. A process has a few dozen texts. */
const scripts = new Map<string, SharedScript>();

/** Returns the script with a text, hashed at its first use. */
export function sharedScript(lua: string, numberOfKeys: number): SharedScript {
  let script = scripts.get(lua);
  if (script === undefined || script.numberOfKeys !== numberOfKeys) {
    script = { lua, numberOfKeys, sha: createHash('sha1').update(lua).digest('hex') };
    scripts.set(lua, script);
  }
  return script;
}

/** Maximum number of servers whose scripts are remembered. */
const MAX_SERVERS = 32;

/** Digests of the scripts that each server has run, by the id that a server gets when it starts. */
const servers = new Map<string, Set<string>>();

function scriptsOfServer(runId: string | undefined): Set<string> {
  if (runId === undefined) return new Set();
  const known = servers.get(runId);
  if (known !== undefined) return known;
  const [oldest] = servers.keys();
  if (oldest !== undefined && servers.size >= MAX_SERVERS) servers.delete(oldest);
  const loaded = new Set<string>();
  servers.set(runId, loaded);
  return loaded;
}

/** The scripts that need not be sent as text on one connection. */
class LoadedScripts {
  /** Digests of texts that were sent on this connection: commands that are sent later arrive later. */
  readonly #sent = new Set<string>();
  readonly #ofServer: Set<string>;

  constructor(ofServer: Set<string>) {
    this.#ofServer = ofServer;
  }

  /** @param isInTransaction A rejected digest would fail the transaction, so what other connections did does not count. */
  has(sha: string, isInTransaction: boolean): boolean {
    return this.#sent.has(sha) || (!isInTransaction && this.#ofServer.has(sha));
  }

  noteSent(sha: string): void {
    this.#sent.add(sha);
  }

  noteRun(sha: string): void {
    this.#ofServer.add(sha);
  }

  forget(sha: string): void {
    this.#sent.delete(sha);
    this.#ofServer.delete(sha);
  }
}

const loadedBySocket = new WeakMap<object, LoadedScripts>();

function loadedOn(socket: object): LoadedScripts {
  let loaded = loadedBySocket.get(socket);
  if (loaded === undefined) {
    loaded = new LoadedScripts(scriptsOfServer(undefined));
    loadedBySocket.set(socket, loaded);
  }
  return loaded;
}

/** Notes which server a new connection leads to. @param runId The id of the start of the server, from INFO. */
export function noteServer(socket: object, runId: string | undefined): void {
  if (runId !== undefined) loadedBySocket.set(socket, new LoadedScripts(scriptsOfServer(runId)));
}

/** Makes a connection send the text of a script at its next use. */
export function forgetScript(socket: object | undefined, { sha }: SharedScript): void {
  if (socket !== undefined) loadedOn(socket).forget(sha);
}

/** A client, or a pipeline or transaction of one. */
type ScriptContext = Pick<Redis, 'sendCommand'> & { readonly isPipeline?: true; readonly redis?: Redis };

/** Runs a script; a method of clients and pipelines. */
export type RunScript = (this: ScriptContext, ...args: (string | number | Buffer)[]) => unknown;

/** Returns a function that returns the methods for scripts. @param Base The class of commands of the loaded ioredis. */
export function scriptMethods(Base: typeof Command): (script: SharedScript) => RunScript {
  class ScriptCommand extends Base {
    readonly #script: SharedScript;
    readonly #mustSendText: boolean;
    #loaded: LoadedScripts | undefined;
    #isTextSent = false;

    constructor(script: SharedScript, args: (string | number | Buffer)[], mustSendText: boolean) {
      super('evalsha', [script.sha, script.numberOfKeys, ...args], { replyEncoding: 'utf8' });
      this.#script = script;
      this.#mustSendText = mustSendText;
    }

    /** Called again when the command is sent again on another connection. */
    override toWritable(socket: object): string | Buffer {
      const { sha, lua } = this.#script;
      const loaded = loadedOn(socket);
      this.#loaded = loaded;
      const sendsText = this.#mustSendText || !loaded.has(sha, this.inTransaction);
      this.name = sendsText ? 'eval' : 'evalsha';
      this.args[0] = sendsText ? lua : sha;
      if (sendsText) {
        loaded.noteSent(sha);
        // A command of a transaction is answered before it runs.
        if (!this.inTransaction) this.#noteAnswer();
      }
      return super.toWritable(socket);
    }

    forget(): void {
      this.#loaded?.forget(this.#script.sha);
    }

    #noteAnswer(): void {
      if (this.#isTextSent) return;
      this.#isTextSent = true;
      const { resolve } = this;
      this.resolve = (answer) => {
        this.#loaded?.noteRun(this.#script.sha);
        resolve(answer);
      };
    }
  }

  return (script) =>
    function run(...args) {
      const command = new ScriptCommand(script, args, false);
      command.promise = command.promise.catch((error: Error) => {
        if (!error.message.startsWith('NOSCRIPT')) throw error;
        command.forget();
        const client = this.isPipeline === true && this.redis !== undefined ? this.redis : this;
        return client.sendCommand(new ScriptCommand(script, args, true));
      });
      return this.sendCommand(command);
    };
}
