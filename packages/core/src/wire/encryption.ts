import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { InvalidOptionError } from '../errors.js';
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import type { Codec, CodecContext } from './sealing.js';

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
