import { timestampDate } from '@bufbuild/protobuf/wkt';

import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';

/** Tells whom the token speaks for. */
export default class WhoAmI extends MoltenCommand {
  static override readonly summary = 'Show who is signed in, and what the token allows.';

  async run(): Promise<unknown> {
    const flags = (await this.parse(WhoAmI)).flags as unknown as ServerFlags;
    const { principal } = await this.client(flags).auth.whoAmI({});
    const expires = principal?.expireTime && timestampDate(principal.expireTime).toISOString();
    const { url } = this.target(flags);
    this.log(`${principal?.subject ?? ''} at ${url}`);
    this.log(`scopes   ${principal?.scopes.join(' ') ?? ''}`);
    this.log(`expires  ${expires ?? 'never'}`);
    return { url, subject: principal?.subject, scopes: principal?.scopes, expires };
  }
}
