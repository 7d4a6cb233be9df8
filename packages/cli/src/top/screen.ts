/** A screen of a terminal that is drawn over again and again; what was there before comes back at the end. */
const { stdin, stdout } = process;

const ENTER = '\u001b[?1049h\u001b[?25l';
/** Ctrl-C and Ctrl-D too: in raw mode they are keys. */
const QUIT = ['q', 'Q', '\u0003', '\u0004'];
const LEAVE = '\u001b[?25h\u001b[?1049l';

export class Screen {
  readonly #onQuit: () => void;

  /** @param onQuit Is called for `q` and Ctrl-C. */
  constructor(onQuit: () => void) {
    this.#onQuit = onQuit;
    stdout.write(ENTER);
    if (!stdin.isTTY) return;
    stdin.setRawMode(true); // keys come at once, Ctrl-C among them
    stdin.on('data', this.#onKeys);
  }

  draw(lines: readonly string[]): void {
    stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\r\n')}\u001b[J`);
  }

  close(): void {
    stdout.write(LEAVE);
    if (!stdin.isTTY) return;
    stdin.off('data', this.#onKeys);
    stdin.setRawMode(false);
    stdin.pause();
  }

  readonly #onKeys = (keys: Buffer): void => {
    const typed = keys.toString();
    if (QUIT.some((key) => typed.includes(key))) this.#onQuit();
  };
}
