/** This module finds the address at which a browser sees the dashboard: behind a proxy, it is not that of the request. */
import { isBasePath, type Settings } from './options.js';

export interface PublicAddress {
  /** Such as `https://ops.example.com`. */
  readonly origin: string;
  /** Without a slash at its end. It contains no character that HTML or a header would interpret. */
  readonly basePath: string;
}

/** Returns the address from the request, and with `trustProxy` from `X-Forwarded-Proto`, `-Host` and `-Prefix`. */
export function publicAddress(
  { url, headers }: Request,
  { basePath, trustProxy }: Pick<Settings<never>, 'basePath' | 'trustProxy'>,
): PublicAddress {
  const { origin, protocol, host } = new URL(url);
  if (!trustProxy) return { origin, basePath };
  // Of several proxies, the first one is the one that the browser sees.
  const first = (name: string) => headers.get(`x-forwarded-${name}`)?.split(',')[0]?.trim() || undefined;
  const prefix = (first('prefix') ?? '').replace(/\/$/, '');
  return {
    origin: originOf(first('proto') ?? protocol.slice(0, -1), first('host') ?? host) ?? origin,
    basePath: isBasePath(prefix) ? `${prefix}${basePath}` : basePath,
  };
}

function originOf(protocol: string, host: string): string | undefined {
  const text = `${protocol}://${host}`;
  return /^https?$/.test(protocol) && URL.canParse(text) ? new URL(text).origin : undefined;
}

/** Returns the part of a path below the base path. A mount or a proxy may have removed the base path already. */
export function pathBelow(path: string, basePath: string): string {
  if (path !== basePath && !path.startsWith(`${basePath}/`)) return path;
  return path.slice(basePath.length) || '/';
}
