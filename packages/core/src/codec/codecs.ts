/** The way of values through an app's codecs, such as compression and encryption, on their way to the store and back. */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { CorruptJobError, InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { sanitize } from './masking.js';

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

const compress = promisify(gzip);
const expand = promisify(gunzip);

/** A compressed value may not grow beyond this where nobody says how far: a few kilobytes can expand to gigabytes. */
const MAX_EXPANDED = 64 * 1024 * 1024;

/** A codec that compresses values of `minBytes` and more (default 1,024) with gzip. Put it before encryption. */
export function compression(options: { minBytes?: number | undefined } = {}): Codec {
  const { minBytes = 1024 } = checkOptions(options, { minBytes: true });
  checkInteger('minBytes', minBytes, 0, Number.MAX_SAFE_INTEGER);
  return {
    name: 'gzip',
    encode: async (data) => (data.length < minBytes ? undefined : compress(data)),
    // Looked at while it grows.
    decode: (data, { maxBytes = MAX_EXPANDED }) => expand(data, { maxOutputLength: maxBytes }),
  };
}

export interface EncryptionOptions {
  /** Keys of 32 bytes by id: bytes, or base64. Ids are stored in the clear. Keep a key as long as jobs that it encrypted. */
  keys: Readonly<Record<string, Uint8Array | string>>;
  /** The id of the key that encrypts; the others only decrypt. */
  current: string;
}

const OPTIONS: OptionNames<EncryptionOptions> = { keys: true, current: true };

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * A codec that encrypts with AES-256-GCM. The job's id, the task and what the value is are authenticated with it, so
 * that a value moved to another job does not decrypt. To rotate, add a key everywhere, then make it `current`.
 *
 * Encoded: one byte with the length of the key's id, the id, 12 bytes of nonce, 16 bytes of tag, the ciphertext.
 * @throws {InvalidOptionError} if a key is not 32 bytes long, or `current` names none.
 */
export function encryption(options: EncryptionOptions): Codec {
  const { keys, current } = checkOptions(options, OPTIONS);
  const known = new Map(Object.entries(keys).map(([id, key]) => [id, keyBytes(id, key)]));
  const currentKey = known.get(current);
  if (currentKey === undefined) throw new InvalidOptionError('current', 'the id of one of `keys`', current);
  const header = Buffer.from(current);
  return {
    name: 'aes-256-gcm',
    encode(data, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(ALGORITHM, currentKey, iv).setAAD(additionalData(context));
      const encrypted = Buffer.concat([cipher.update(data), cipher.final()]);
      return Buffer.concat([Buffer.of(header.length), header, iv, cipher.getAuthTag(), encrypted]);
    },
    decode(data, context) {
      const bytes = Buffer.from(data);
      const ivAt = 1 + (bytes[0] ?? 0);
      const tagAt = ivAt + IV_BYTES;
      const textAt = tagAt + TAG_BYTES;
      const id = bytes.subarray(1, ivAt).toString();
      const key = known.get(id);
      if (key === undefined) throw new Error(`there is no key "${id}"`);
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(ivAt, tagAt), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(additionalData(context))
        .setAuthTag(bytes.subarray(tagAt, textAt));
      return Buffer.concat([decipher.update(bytes.subarray(textAt)), decipher.final()]);
    },
  };
}

function keyBytes(id: string, key: Uint8Array | string): Buffer {
  const bytes = typeof key === 'string' ? Buffer.from(key, 'base64') : Buffer.from(key);
  if (bytes.length !== 32)
    throw new InvalidOptionError(`keys.${id}`, '32 bytes (or their base64)', `${bytes.length} bytes`);
  if (id.length === 0 || Buffer.byteLength(id) > 255)
    throw new InvalidOptionError('keys', 'ids of 1 to 255 bytes', id);
  return bytes;
}

function additionalData({ subject, id, task }: CodecContext): Buffer {
  return Buffer.from(JSON.stringify([subject, id, task]));
}
