import { Args, type Interfaces } from '@oclif/core';

import { toTokenRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { buildTokenTree, formatTokenTree, type TokenNode } from '../../lib/token-tree.ts';
import { listTokens } from '../../lib/tokens.ts';

/** Shows which token came from which. */
export default class TokensTree extends MoltenCommand {
  static override readonly summary = 'Show delegated tokens below what they came from.';
  static override readonly description =
    'Client, scopes, end and id of each. Whoever revokes one takes down everything below it.';
  static override readonly args: Interfaces.ArgInput = {
    token: Args.string({ description: 'Only this token or API key, by id, and what is below.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(TokensTree);
    const client = this.client(flags as unknown as ServerFlags);
    const roots = buildTokenTree(await listTokens(client, args['token'] as string | undefined));
    if (roots.length === 0) this.logToStderr('nothing found');
    else this.log(formatTokenTree(roots));
    return { roots: roots.map(({ tokens, ...root }) => ({ ...root, tokens: tokens.map(toJson) })) };
  }
}

function toJson({ token, children }: TokenNode): object {
  return { ...toTokenRow(token), children: children.map(toJson) };
}
