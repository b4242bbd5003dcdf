import { Args, Flags, type Interfaces } from '@oclif/core';

import { RevocationKind, type RevocationImpact } from '../../../gen/molten/v1/tokens_pb.ts';
import type { MoltenClient } from '../../../src/client/client.ts';
import { describeImpact, toImpactRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import {
  beforeFlag,
  previewRevocation,
  requestOf,
  targetFlags,
  targetOf,
  type RevocationTarget,
} from '../../lib/revocation.ts';
import type { AnyFlags } from '../../lib/secrets.ts';

/** Revokes tokens. */
export default class TokensRevoke extends MoltenCommand {
  static override readonly summary = 'Revoke a token and all below it, at once and everywhere.';
  static override readonly description =
    'Your own token, and what you have delegated; with the scope `tokens:*:*` any, and by user, client, session or key. Shows first what falls with it, and asks on a terminal. --all wants --yes where there is none.';
  static override readonly examples: string[] = [
    '<%= config.bin %> tokens revoke 01993b2e-8f2e-7d3a-9c1f-5a2d6f1e7b90',
    '<%= config.bin %> tokens revoke --user alice --dry-run',
    '<%= config.bin %> tokens revoke --client reporting --yes',
    '<%= config.bin %> tokens revoke --all --before 2026-01-31T23:59:59Z --yes',
  ];
  static override readonly args: Interfaces.ArgInput = {
    token: Args.string({ description: 'The id of a token (jti) or of an API key.' }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...{ ...targetFlags, ...beforeFlag },
    yes: Flags.boolean({ char: 'y', description: 'Do not ask.' }),
    'dry-run': Flags.boolean({ description: 'Only show what would fall.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(TokensRevoke);
    const client = this.client(flags as unknown as ServerFlags);
    const target = targetOf(args['token'] as string | undefined, flags);
    const { kind, id, name } = target;
    const impact = await previewRevocation(client, target);
    if (flags['dry-run'] === true) return await this.#preview(client, target, impact);
    if (impact !== undefined) this.logToStderr(`takes down ${describeImpact(impact)}`);
    if (kind !== RevocationKind.TOKEN && impact !== undefined && isNothing(impact)) {
      this.logToStderr(`nothing works now as ${name}: is it spelt as the server has it?`);
    }
    await this.#demandConsent(target, flags);
    // One token is revoked by whoever it came from; whatever goes together, only with the scope.
    const isOne = kind === RevocationKind.TOKEN && target.beforeTime === undefined;
    if (isOne) await client.auth.revokeToken({ tokenId: id });
    else await client.tokens.revokeTokens(requestOf(target));
    this.log(`${kind === RevocationKind.TOKEN ? id : name} revoked`);
    return { ...nameOf(target), revoked: true, ...(impact && { impact: toImpactRow(impact) }) };
  }

  async #preview(
    client: MoltenClient,
    target: RevocationTarget,
    known: RevocationImpact | undefined,
  ): Promise<unknown> {
    // The server says why when the caller may not know.
    const impact = known ?? (await client.tokens.previewRevocation(requestOf(target))).impact;
    if (impact === undefined) return nameOf(target);
    this.log(`would take down ${describeImpact(impact)}`);
    return { ...nameOf(target), revoked: false, impact: toImpactRow(impact) };
  }

  async #demandConsent({ kind, name }: RevocationTarget, flags: AnyFlags): Promise<void> {
    const isAll = kind === RevocationKind.ALL;
    if (!process.stdin.isTTY && !isAll) return;
    await this.demandConsent(`Revoke ${name}?`, flags['yes'] === true);
  }
}

function isNothing({ tokens, sessions, apiKeys }: RevocationImpact): boolean {
  return tokens + sessions + apiKeys === 0n;
}

function nameOf({ kind, id }: RevocationTarget): object {
  return kind === RevocationKind.TOKEN ? { tokenId: id } : { id };
}
