import { CredentialKind, type Principal } from '../../gen/molten/v1/auth_pb.ts';
import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';
import type { Row } from '../lib/table.ts';
import { isoOf } from '../lib/times.ts';

const KINDS: Readonly<Record<CredentialKind, string>> = {
  [CredentialKind.UNSPECIFIED]: '',
  [CredentialKind.SESSION]: 'session',
  [CredentialKind.DELEGATED]: 'delegated token',
  [CredentialKind.API_KEY]: 'API key',
};

/** Tells whom the token speaks for. */
export default class WhoAmI extends MoltenCommand {
  static override readonly summary = 'Show who is signed in, how, and what that allows.';

  async run(): Promise<unknown> {
    const flags = (await this.parse(WhoAmI)).flags as unknown as ServerFlags;
    const { principal } = await this.client(flags).auth.whoAmI({});
    const { url } = this.target(flags);
    if (principal === undefined) return { url };
    const { subject, ...row } = toRow(principal);
    this.log(`${principal.subject} at ${url}`);
    this.printFields({ ...row, expires: row['expires'] ?? 'never' });
    return { url, subject, ...row };
  }
}

function toRow(principal: Principal): Row {
  const { subject, scopes, user, sessionId, impersonator, tokenId, expireTime } = principal;
  return {
    ...{ subject, scopes, expires: isoOf(expireTime), user },
    ...{ credential: KINDS[principal.credentialKind], token: tokenId },
    ...(sessionId === '' ? {} : { session: sessionId }),
    ...(impersonator === '' ? {} : { impersonator }),
    secondFactorRequired: principal.secondFactorRequired,
  };
}
