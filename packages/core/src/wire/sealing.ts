/** The way of values through an app's codecs, such as compression and encryption, on their way to the store and back. */
import { CorruptJobError } from '../errors.js';
import { sanitize } from './stored-value.js';

/** What a value is and whose. An encrypting codec should bind it, so that values cannot be swapped in the store. */
export interface CodecContext {
  readonly subject: 'input' | 'result' | 'failure' | 'progress' | 'log';
  /** The job that the value belongs to. */
  readonly id: string;
  /** The name of the job's task; empty for a result, which is read by those that do not know its task. */
  readonly task: string;
  /** Most bytes that a decoded value may have; for codecs whose values grow. Set for `decode`. */
  readonly maxBytes?: number;
}

/**
 * Changes values between the app and the store. Both sides need it: the app that sends, and every worker.
 * Names are stored with what they encoded, so a codec can be added while older jobs are still in the store.
 */
export interface Codec {
  /** Letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  /** The encoded bytes, or undefined to leave this value as it is. */
  encode(data: Uint8Array, context: CodecContext): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  decode(data: Uint8Array, context: CodecContext): Uint8Array | Promise<Uint8Array>;
}

/** The one key of a sealed value. */
export const SEALED = 'umbel:sealed';

const MEBIBYTE = 1_048_576;
/** Bytes that a decoded value may have. What steps have put together is longer than the input or the result of one. */
const MAX_DECODED_BYTES = 64 * MEBIBYTE;

/** The same for an app with limits of its own. */
export function maxDecodedBytes(maxInputBytes: number, maxResultBytes: number): number {
  return Math.max(MAX_DECODED_BYTES, 2 * maxInputBytes, 2 * maxResultBytes);
}

/** Applies codecs, in their order, to values, and undoes it. */
export class Sealer {
  readonly #codecs: readonly Codec[];
  /** Whether values are changed at all. */
  readonly isActive: boolean;
  readonly #maxBytes: number;

  constructor(codecs: readonly Codec[], maxBytes = MAX_DECODED_BYTES) {
    this.#codecs = codecs;
    this.#maxBytes = maxBytes;
    this.isActive = codecs.length > 0;
  }

  /** Of its codecs. */
  get names(): string[] {
    return this.#codecs.map(({ name }) => name);
  }

  /**
   * The value as it is stored: itself without codecs, else an object with the one key `umbel:sealed`.
   * @throws {RangeError} if it is longer than what may be decoded.
   */
  async seal(value: unknown, context: CodecContext): Promise<unknown> {
    if (!this.isActive || value === undefined) return value;
    const applied: string[] = [];
    let data: Uint8Array = Buffer.from(JSON.stringify(value));
    if (data.length > this.#maxBytes) {
      throw new RangeError(
        `The ${context.subject} of job ${context.id} takes ${data.length} bytes as JSON; with codecs the limit is ${this.#maxBytes}.`,
      );
    }
    for (const codec of this.#codecs) {
      const encoded = await codec.encode(data, context);
      if (encoded === undefined) continue;
      data = encoded;
      applied.push(codec.name);
    }
    return applied.length === 0
      ? value
      : { [SEALED]: `${applied.join('+')}:${Buffer.from(data).toString('base64')}` };
  }

  /**
   * The value that was sealed; any other as it is.
   * @throws {CorruptJobError} if it was sealed by a codec that this app does not have, or cannot be decoded.
   */
  async open(value: unknown, context: CodecContext): Promise<unknown> {
    if (!isSealed(value)) return value;
    const [list = '', text = ''] = value[SEALED].split(':', 2);
    const names = list.split('+');
    if (names.length > Math.max(this.#codecs.length, 1)) {
      // Compressed again and again, a short text would keep this process busy for ever.
      throw new CorruptJobError(context.id, `its ${context.subject} was written with too many codecs`);
    }
    let data: Uint8Array = Buffer.from(text, 'base64');
    const limited = { ...context, maxBytes: this.#maxBytes };
    for (const name of names.reverse()) {
      const codec = this.#codecs.find((candidate) => candidate.name === name);
      if (codec === undefined) {
        throw new CorruptJobError(
          context.id,
          `its ${context.subject} was written with the codec "${name}", which this app does not have; ` +
            'give createApp the same `codecs` everywhere',
        );
      }
      try {
        data = await codec.decode(data, limited);
      } catch (cause) {
        throw new CorruptJobError(
          context.id,
          `the codec "${name}" cannot decode its ${context.subject}: ${cause instanceof Error ? cause.message : cause}`,
          { cause },
        );
      }
    }
    return this.#parsed(data, context);
  }

  #parsed(data: Uint8Array, { subject, id }: CodecContext): unknown {
    if (data.length > this.#maxBytes) {
      throw new CorruptJobError(
        id,
        `its ${subject} takes ${data.length} bytes once it is decoded, the limit is ${this.#maxBytes}`,
      );
    }
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(data).toString());
    } catch (cause) {
      throw new CorruptJobError(id, `its ${subject} is no JSON once it is decoded`, { cause });
    }
    const fault = sanitize(value);
    if (fault !== undefined) throw new CorruptJobError(id, `its ${subject} cannot be used: ${fault}`);
    return value;
  }
}

export function isSealed(value: unknown): value is { readonly [SEALED]: string } {
  return typeof value === 'object' && value !== null && SEALED in value && typeof value[SEALED] === 'string';
}
