/**
 * Codecs, such as compression and encryption. They encode values on their way to the store and decode them on their way
 * back.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { CorruptJobError, InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { sanitize } from './masking.js';

/**
 * Describes the value that a codec encodes or decodes. An encrypting codec should authenticate it, so that values cannot be
 * swapped in the store.
 */
export interface CodecContext {
  readonly subject: 'input' | 'result' | 'failure' | 'progress' | 'log' | 'signal';
  /** The id of the job that the value belongs to; for `signal`, of the record of the signal and its key. */
  readonly id: string;
  /** The name of the job's task, or of the signal. Empty for a result, because its readers may not know the task. */
  readonly task: string;
  /** Maximum size of a decoded value in bytes. Set for `decode`, for codecs whose output is larger than their input. */
  readonly maxBytes?: number;
}

/**
 * Encodes values for the store. Senders and workers need the same codecs. The name of a codec is stored with each value it
 * encoded, so a codec can be added while older jobs are still in the store.
 * @example
 * const reversed: Codec = {
 *   name: 'reversed',
 *   encode: (data) => Uint8Array.from(data).reverse(),
 *   decode: (data) => Uint8Array.from(data).reverse(),
 * };
 * const app = createApp({ name: 'shop', codecs: [reversed] });
 */
export interface Codec {
  /** Letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  /** Returns the encoded bytes, or undefined to leave this value unchanged. */
  encode(data: Uint8Array, context: CodecContext): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Returns the bytes that were encoded. */
  decode(data: Uint8Array, context: CodecContext): Uint8Array | Promise<Uint8Array>;
}

/** The only key of an encoded value. */
export const SEALED = 'umbel:sealed';

const MEBIBYTE = 1_048_576;
/** Maximum size of a decoded value. It exceeds the limits of inputs and results, because a join combines many results. */
const MAX_DECODED_BYTES = 64 * MEBIBYTE;

/** Returns the maximum size of a decoded value for an app with these limits. */
export function maxDecodedBytes(maxInputBytes: number, maxResultBytes: number): number {
  return Math.max(MAX_DECODED_BYTES, 2 * maxInputBytes, 2 * maxResultBytes);
}

/** Encodes values with the codecs of an app, in their order, and decodes them. */
export class Sealer {
  readonly #codecs: readonly Codec[];
  /** False if the app has no codecs. */
  readonly isActive: boolean;
  readonly #maxBytes: number;

  constructor(codecs: readonly Codec[], maxBytes = MAX_DECODED_BYTES) {
    this.#codecs = codecs;
    this.#maxBytes = maxBytes;
    this.isActive = codecs.length > 0;
  }

  /** The names of the codecs. */
  get names(): string[] {
    return this.#codecs.map(({ name }) => name);
  }

  /**
   * Returns the stored form of a value: the value itself without codecs, otherwise an object with the key `umbel:sealed`.
   * @throws {RangeError} if the value is too long to be decoded.
   */
  async encode(value: unknown, context: CodecContext): Promise<unknown> {
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
   * Returns the value of a stored form. Values that were not encoded are returned unchanged.
   * @throws {CorruptJobError} if the app does not have one of the codecs, or the value cannot be decoded.
   */
  async decode(value: unknown, context: CodecContext): Promise<unknown> {
    if (!isSealed(value)) return value;
    const [list = '', text = ''] = value[SEALED].split(':', 2);
    const names = list.split('+');
    if (names.length > Math.max(this.#codecs.length, 1)) {
      // A short text that was compressed many times could keep this process busy without end.
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
            'pass the same `codecs` to createApp in every process',
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
        `its ${subject} takes ${data.length} bytes after decoding, the limit is ${this.#maxBytes}`,
      );
    }
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(data).toString());
    } catch (cause) {
      throw new CorruptJobError(id, `its ${subject} is not JSON after decoding`, { cause });
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

/** Default limit of a decompressed value, because a few kilobytes can expand to gigabytes. */
const MAX_EXPANDED_BYTES = 64 * 1024 * 1024;

/**
 * Returns a codec that compresses values with gzip. Put it before encryption.
 * @param options `minBytes`: smaller values are not compressed (default 1,024).
 * @throws {InvalidOptionError} if `minBytes` is not a whole number from 0.
 * @example
 * const app = createApp({ name: 'shop', codecs: [compression({ minBytes: 4096 })] });
 */
export function compression(options: { minBytes?: number | undefined } = {}): Codec {
  const { minBytes = 1024 } = checkOptions(options, { minBytes: true });
  checkInteger('minBytes', minBytes, 0, Number.MAX_SAFE_INTEGER);
  return {
    name: 'gzip',
    encode: async (data) => (data.length < minBytes ? undefined : compress(data)),
    // zlib checks the limit while it decompresses.
    decode: (data, { maxBytes = MAX_EXPANDED_BYTES }) => expand(data, { maxOutputLength: maxBytes }),
  };
}

/** Options of `encryption`. */
export interface EncryptionOptions {
  /**
   * Keys of 32 bytes by id, as bytes or base64. Ids are stored unencrypted. Keep a key as long as the store holds jobs that
   * it encrypted.
   */
  keys: Readonly<Record<string, Uint8Array | string>>;
  /** The id of the key that encrypts. The other keys only decrypt. */
  current: string;
}

const OPTIONS: OptionNames<EncryptionOptions> = { keys: true, current: true };

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Returns a codec that encrypts with AES-256-GCM. The job's id, the task and the subject are authenticated as well, so a
 * value that was moved to another job does not decrypt. To rotate keys, add a key in all processes, then make it `current`.
 *
 * Encoded form: one byte with the length of the key's id, the id, 12 bytes of nonce, 16 bytes of tag, the ciphertext.
 * @throws {InvalidOptionError} if a key is not 32 bytes long, or `current` is not the id of a key.
 * @example
 * const key = process.env.UMBEL_KEY ?? ''; // base64 of 32 bytes
 * const app = createApp({ name: 'shop', codecs: [encryption({ keys: { k1: key }, current: 'k1' })] });
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
