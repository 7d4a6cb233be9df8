/** Buttons that copy what a view shows as a command or as code. */
import { useEffect, useState } from 'preact/hooks';
import type { Commands } from './commands.js';

const SHOWN_MS = 1500;

interface CopyProps {
  /** A text, or what makes it when the button is pressed; an error that it throws is shown. */
  readonly text: string | (() => string);
  readonly label: string;
}

function Copy({ text, label }: CopyProps) {
  const [state, setState] = useState<string>();
  useEffect(() => {
    if (state === undefined) return undefined;
    const timer = setTimeout(() => setState(undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = async () => {
    // Browsers have no clipboard on pages without HTTPS, except on this machine.
    if (navigator.clipboard === undefined) throw new Error('not allowed');
    await navigator.clipboard.writeText(typeof text === 'string' ? text : text());
    setState('✓ Copied');
  };
  return (
    <button
      type="button"
      class="quiet"
      title={typeof text === 'string' ? text : undefined}
      onClick={() => void copy().catch((error: Error) => setState(`✕ ${error.message}`))}
    >
      <span aria-live="polite">{state ?? label}</span>
    </button>
  );
}

/** `commands`: they, or what makes them when a button is pressed. */
export function CopyCommands({ commands }: { readonly commands: Commands | (() => Commands) }) {
  const text = (kind: keyof Commands) =>
    typeof commands === 'function' ? () => commands()[kind] : commands[kind];
  return (
    <span class="copies">
      <Copy text={text('cli')} label="Copy as CLI" />
      <Copy text={text('code')} label="Copy as code" />
    </span>
  );
}
