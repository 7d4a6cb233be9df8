/** What Umbel writes to: `console`, pino and most loggers fit. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
