import { DomainError } from '../../errors/domain-error.ts';
import { hostOf, type CallOrigin } from '../call.ts';

/**
 * Refuses with CREDENTIAL_INVALID what another site had a browser send along with its cookie: by
 * `Sec-Fetch-Site` (Fetch Metadata) and by `Origin`, which pages cannot forge. A request with neither is
 * a read of the same origin in an old browser, or no browser's; WebSockets always have an origin.
 * `allowed`: other origins, exactly.
 */
export function demandOwnPage(
  origin: CallOrigin,
  { isSecure, allowed }: { readonly isSecure: boolean; readonly allowed: readonly string[] },
): void {
  const site = origin.header('sec-fetch-site');
  const page = origin.header('origin');
  if (site === 'cross-site') throw foreign('another site');
  if (page !== undefined) {
    if (!allowed.includes(page) && !isOwn(page, hostOf(origin), isSecure)) throw foreign(page);
    return;
  }
  if (site === 'same-site') throw foreign('another host of this site');
  if (origin.protocol === 'websocket') throw foreign('no page');
}

/** What ends TLS may be a proxy, so that the scheme is known only for a cookie that was set over TLS. */
function isOwn(page: string, host: string, isSecure: boolean): boolean {
  return page === `https://${host}` || (!isSecure && page === `http://${host}`);
}

function foreign(from: string): DomainError {
  return new DomainError(
    'CREDENTIAL_INVALID',
    `the session cookie is not taken from ${from.slice(0, 256)}; send a token instead`,
  );
}
