import { Args, type Interfaces } from '@oclif/core';

import type { IntrospectTokenResponse } from '../../../gen/molten/v1/tokens_pb.ts';
import { toTokenRow } from '../../lib/access-rows.ts';
import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { readLine } from '../../lib/secrets.ts';
import type { Row } from '../../lib/table.ts';
import { isoOf } from '../../lib/times.ts';

/** What tokens and API keys look like. */
const SECRET = /^(eyJ[\w-]*\.|m[kr]_)/;

/** Tells what a token is. */
export default class TokensInspect extends MoltenCommand {
  static override readonly summary = 'Show a delegated token by its id, or any token by itself.';
  static override readonly description =
    'By id: one of yours; with the scope `tokens:*:*` any. Read from standard input, a token or an API key is shown as the server takes it now, which needs that scope.';
  static override readonly examples: string[] = [
    '<%= config.bin %> tokens inspect 01993b2e-8f2e-7d3a-9c1f-5a2d6f1e7b90',
    '<%= config.bin %> tokens inspect - < ./token',
  ];
  static override readonly args: Interfaces.ArgInput = {
    token: Args.string({
      description: 'The id of the token (jti), or - for a token on standard input.',
      required: true,
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(TokensInspect);
    const { tokens } = this.client(flags as unknown as ServerFlags);
    const tokenId = String(args['token']);
    if (tokenId === '-') {
      const answer = await tokens.introspectToken({ token: (await readLine('token')).trim() });
      return this.#show(toIntrospectionRow(answer));
    }
    if (SECRET.test(tokenId)) {
      throw usageError(
        'this is a token itself, no id; give it on standard input: tokens inspect -',
      );
    }
    const { token } = await tokens.getToken({ tokenId });
    return this.#show(token === undefined ? {} : toTokenRow(token));
  }

  #show(row: Row): Row {
    this.printFields(row);
    return row;
  }
}

function toIntrospectionRow(answer: IntrospectTokenResponse): Row {
  const { active, subject, clientId, user, scopes, tokenId, tokenType } = answer;
  if (!active) return { active };
  return {
    ...{ active, type: tokenType, token: tokenId, subject, client: clientId, user, scopes },
    ...{ created: isoOf(answer.createTime), expires: isoOf(answer.expireTime) ?? 'never' },
  };
}
