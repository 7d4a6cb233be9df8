/** `umbel completion`: prints the completion script of a shell, made from the definitions of the commands. */
import type { Command, Option } from 'commander';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors.js';
import { examples } from '../flags.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export default defineCommand<object>({
  define(command) {
    command
      .description(
        'Print a shell script that completes commands, flags, and the values of flags with choices.',
      )
      .addArgument(command.createArgument('<shell>', 'Shell').choices(SHELLS));
    examples(command, [
      ['source <(umbel completion bash)', 'add to ~/.bashrc'],
      ['source <(umbel completion zsh)', 'add to ~/.zshrc, after compinit'],
      ['umbel completion fish > ~/.config/fish/completions/umbel.fish', 'run once'],
    ]);
  },

  async run({ args, out }) {
    const [shell] = args as [(typeof SHELLS)[number]];
    const [{ completionTree }, { scriptFor }, { definedCommands }] = await Promise.all([
      import('./completion.js'),
      import('./completion.js'),
      import('../program.js'),
    ]);
    out.data(scriptFor(shell, completionTree(await definedCommands())));
    return EXIT.ok;
  },
});

// Commands and flags as plain data.

interface CompletionFlag {
  /** `-q`, `--queues` */
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** The choices of the value, if it has any. */
  readonly values: readonly string[];
}

interface CompletionCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletionFlag[];
  /** Choices of the first argument; if empty, the shell completes files. */
  readonly values: readonly string[];
}

export function completionTree(commands: readonly Command[]): CompletionCommand[] {
  return commands.map((command) => ({
    name: command.name(),
    description: command.summary(),
    flags: [
      ...optionsOf(command)
        .filter(({ hidden }) => !hidden)
        .map(flagOf),
      HELP,
    ],
    values:
      command.commands.length > 0
        ? command.commands.map((verb) => verb.name())
        : (command.registeredArguments[0]?.argChoices ?? []),
  }));
}

const HELP: CompletionFlag = {
  names: ['-h', '--help'],
  description: 'Print help',
  takesValue: false,
  values: [],
};

/** Returns the options of the command and its subcommands, without duplicates. */
function optionsOf(command: Command): Option[] {
  const all = [command, ...command.commands].flatMap(({ options }) => options);
  return [...new Map(all.map((option) => [option.attributeName(), option])).values()];
}

function flagOf({ short, long, description, argChoices, required, optional }: Option): CompletionFlag {
  return {
    names: [short, long].filter((name) => name !== undefined),
    description,
    takesValue: required || optional,
    values: argChoices ?? [],
  };
}

// Scripts for each shell. They are self-contained: completing starts no program.

export function scriptFor(shell: 'bash' | 'zsh' | 'fish', commands: readonly CompletionCommand[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands);
    case 'zsh':
      return zsh(commands);
    case 'fish':
      return fish(commands);
  }
}

function bash(commands: readonly CompletionCommand[]): string {
  const flagNames = ({ flags }: CompletionCommand) => flags.flatMap(({ names }) => names).join(' ');
  const cases = commands.map((command) => {
    const byFlag = command.flags
      .filter(({ takesValue }) => takesValue)
      .map(({ names, values }) => {
        const action =
          values.length === 0 ? 'compopt -o default 2>/dev/null; return' : reply(values.join(' '));
        return `        ${names.join('|')}) ${action} ;;`;
      });
    const rest =
      command.values.length === 0 ? 'compopt -o default 2>/dev/null' : reply(command.values.join(' '));
    return [
      `    ${command.name})`,
      '      case "$previous" in',
      ...byFlag,
      '      esac',
      `      if [[ "$current" == -* ]]; then ${reply(flagNames(command))}; fi`,
      `      ${rest} ;;`,
    ].join('\n');
  });
  return `# umbel completion for bash: source <(umbel completion bash)
_umbel() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    ${reply([...commands.map(({ name }) => name), '--help', '--version'].join(' '))}
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
}
complete -F _umbel umbel`;
}

function reply(words: string): string {
  return `COMPREPLY=( $(compgen -W ${quoted(words)} -- "$current") ); return`;
}

function zsh(commands: readonly CompletionCommand[]): string {
  const names = commands.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`);
  const cases = commands.map((command) => {
    const rest =
      command.values.length === 0 ? "'*:file:_files'" : quoted(`1:value:(${command.values.join(' ')})`);
    return [
      `    ${command.name})`,
      '      _arguments -s \\',
      ...command.flags.map((flag) => `        ${zshFlag(flag)} \\`),
      `        ${rest} ;;`,
    ].join('\n');
  });
  return `#compdef umbel
# umbel completion for zsh: source <(umbel completion zsh)
_umbel() {
  local -a commands
  commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
compdef _umbel umbel`;
}

function zshFlag({ names, description, takesValue, values }: CompletionFlag): string {
  const words = description.replaceAll(/[[\]:]/g, ' ');
  const value = !takesValue ? '' : values.length === 0 ? ':value:_files' : `:value:(${values.join(' ')})`;
  const tail = quoted(`[${words}]${value}`);
  return names.length === 1
    ? quoted(`${names[0]}[${words}]${value}`)
    : `${quoted(`(${names.join(' ')})`)}{${names.join(',')}}${tail}`;
}

function fish(commands: readonly CompletionCommand[]): string {
  const lines = commands.flatMap((command) => {
    const within = `-n ${quoted(`__fish_seen_subcommand_from ${command.name}`)}`;
    return [
      `complete -c umbel -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.description)}`,
      ...(command.values.length === 0
        ? []
        : [`complete -c umbel ${within} -f -a ${quoted(command.values.join(' '))}`]),
      ...command.flags.map(({ names, description, takesValue, values }) => {
        const spelled = names.map((name) =>
          name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
        );
        const value = !takesValue ? '' : values.length === 0 ? ' -r' : ` -x -a ${quoted(values.join(' '))}`;
        return `complete -c umbel ${within} ${spelled.join(' ')}${value} -d ${quoted(description)}`;
      }),
    ];
  });
  return [
    '# umbel completion for fish: umbel completion fish > ~/.config/fish/completions/umbel.fish',
    ...lines,
  ].join('\n');
}

/** Returns the text in single quotes, which all three shells read alike. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
