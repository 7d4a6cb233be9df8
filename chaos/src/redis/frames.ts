/** Where one request or reply of Redis's protocol ends and the next begins; what is in them does not matter here. */

/** Cuts a stream into its frames. */
export class FrameCutter {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are complete with this chunk. */
  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    let from = 0;
    while (from < this.#rest.length) {
      const end = frameEnd(this.#rest, from);
      if (end === -1) break;
      frames.push(this.#rest.subarray(from, end));
      from = end;
    }
    this.#rest = this.#rest.subarray(from);
    return frames;
  }
}

/** The command of a request, in capitals. */
export function commandOf(request: Buffer): string {
  const [, , name = ''] = request.subarray(0, 64).toString('latin1').split('\r\n');
  return name.toUpperCase();
}

/** Index after the frame, or -1 if it is not complete. */
function frameEnd(buffer: Buffer, from: number): number {
  const lineEnd = buffer.indexOf('\r\n', from, 'latin1');
  if (lineEnd === -1) return -1;
  const next = lineEnd + 2;
  const type = String.fromCharCode(buffer[from] ?? 0);
  const count = () => Number(buffer.toString('latin1', from + 1, lineEnd));
  switch (type) {
    case '$':
    case '=':
    case '!': {
      const end = count() < 0 ? next : next + count() + 2;
      return end <= buffer.length ? end : -1;
    }
    case '*':
    case '~':
    case '>':
      return framesEnd(buffer, next, count());
    case '%':
      return framesEnd(buffer, next, count() * 2);
    case '|':
      return framesEnd(buffer, next, count() * 2 + 1);
    default:
      return next;
  }
}

function framesEnd(buffer: Buffer, from: number, count: number): number {
  let end = from;
  for (let index = 0; index < count; index += 1) {
    end = frameEnd(buffer, end);
    if (end === -1) return -1;
  }
  return end;
}
