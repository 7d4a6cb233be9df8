import { defineCommand } from '../command.js';
import { CliError, EXIT } from '../errors.js';
import { connectionFlag, examples, outputFlags } from '../flags.js';
import { importPackage } from '../modules.js';

interface MigrateFlags {
  readonly connection?: string;
  readonly check?: boolean;
  readonly sql?: boolean;
}

export default defineCommand<MigrateFlags>({
  define(command) {
    command.description(
      'Create or update the schema of a PostgreSQL or PGlite store. Apps do that when they connect, if their user has the rights.',
    );
    connectionFlag(command);
    command
      .option('--check', 'Change nothing; exit with 1 if the schema is not current')
      .option('--sql', 'Print the statements for an empty database, and run nothing');
    outputFlags(command);
    examples(command, [
      ['umbel migrate -b postgres://admin@db/shop', 'before workers of a new version start'],
      ['umbel migrate -b postgres://admin@db/shop --check', 'in a health check'],
      ['umbel migrate -b postgres://db/shop --sql', 'for a review'],
    ]);
  },

  async run({ flags, out }) {
    const { storeMigrations } = await importPackage('@umbel/core/internal', process.cwd());
    const migrations = storeMigrations(flags.connection);
    if (migrations === undefined) {
      throw new CliError({
        exitCode: EXIT.usage,
        what: 'The store has no schema.',
        why: 'Only a PostgreSQL or PGlite store is migrated.',
        hint: 'Set its URL with --connection postgres://… or UMBEL_URL.',
      });
    }
    if (flags.sql) {
      out.data((await migrations.script()).trimEnd());
      return EXIT.ok;
    }
    const state = await migrations.state();
    if (!flags.check) await migrations.migrate();
    if (out.isJson) out.document('migration', { state, isMigrated: !flags.check && state === 'old' });
    else out.data(TEXTS[flags.check || state === 'current' ? state : 'migrated']);
    return flags.check && state !== 'current' ? EXIT.failed : EXIT.ok;
  },
});

/** What is printed, by the state that was found. */
const TEXTS = {
  current: 'The schema is current.',
  migrated: 'The schema was migrated.',
  old: 'The schema has to be migrated.',
  newer: 'The schema was migrated by a newer version of Umbel.',
} as const;
