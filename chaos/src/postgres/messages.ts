/** Where one message of PostgreSQL's protocol ends and the next begins, and the few that a proxy reads or writes itself. */

export interface Message {
  /** One letter; empty for the first message of a client, which has none. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** The type of the message that says that the server waits for a request. */
export const READY = 'Z';

/** Cuts a stream into its messages. */
export class MessageCutter {
  #rest: Buffer = Buffer.alloc(0);
  #hasStart: boolean;

  /** @param hasStart Whether the first message has no type, as a client's has. */
  constructor({ hasStart }: { readonly hasStart: boolean }) {
    this.#hasStart = hasStart;
  }

  /** The messages that are complete with this chunk. */
  push(chunk: Buffer): Message[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Message[] = [];
    let from = 0;
    for (;;) {
      const lengthAt = this.#hasStart ? from : from + 1;
      if (lengthAt + 4 > this.#rest.length) break;
      const end = lengthAt + this.#rest.readUInt32BE(lengthAt);
      if (end > this.#rest.length) break;
      const type = this.#hasStart ? '' : String.fromCharCode(this.#rest[from] ?? 0);
      messages.push({ type, bytes: this.#rest.subarray(from, end) });
      this.#hasStart = false;
      from = end;
    }
    this.#rest = this.#rest.subarray(from);
    return messages;
  }
}

/** The state of the session in a message that the server is ready: `I` outside of a transaction. */
export function readyStateOf(bytes: Buffer): string {
  return String.fromCharCode(bytes[5] ?? 0);
}

/** The text of the statement in a request; empty for a message without one. */
export function statementOf({ type, bytes }: Message): string {
  if (type !== 'P' && type !== 'Q') return '';
  // A statement with parameters has a name before it.
  const start = type === 'P' ? bytes.indexOf(0, 5) + 1 : 5;
  return bytes.toString('utf8', start, bytes.indexOf(0, start));
}

/** The answer to a request that the server refuses outside of a transaction; the message begins with its code. */
export function errorOf(message: string): Buffer {
  const code = message.slice(0, 5);
  const fields = `SERROR\0VERROR\0C${code}\0M${message.slice(6)}\0\0`;
  return Buffer.concat([messageOf('E', fields), messageOf(READY, 'I')]);
}

function messageOf(type: string, content: string): Buffer {
  const body = Buffer.from(content);
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
