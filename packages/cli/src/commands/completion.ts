import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export default defineCommand<object>({
  define(command) {
    command
      .description(
        'Prints what a shell needs to complete commands, flags, and the values of flags that have a list of them.',
      )
      .addArgument(command.createArgument('<shell>', 'the shell').choices(SHELLS));
    examples(command, [
      ['source <(umbel completion bash)', 'in ~/.bashrc'],
      ['source <(umbel completion zsh)', 'in ~/.zshrc, after compinit'],
      ['umbel completion fish > ~/.config/fish/completions/umbel.fish', 'once'],
    ]);
  },

  async run({ args, out }) {
    const [shell] = args as [(typeof SHELLS)[number]];
    const [{ completionTree }, { scriptFor }, { definedCommands }] = await Promise.all([
      import('../completion/tree.js'),
      import('../completion/scripts.js'),
      import('../program.js'),
    ]);
    out.data(scriptFor(shell, completionTree(await definedCommands())));
    return EXIT.ok;
  },
});
