import type { Token } from '../../gen/molten/v1/tokens_pb.ts';
import type { MoltenClient } from '../../src/client/client.ts';
import { collectPages, PAGE_SIZE } from './pages.ts';

/** Delegated tokens, those they came from first; below one token or API key, or all. */
export async function listTokens(
  { tokens }: Pick<MoltenClient, 'tokens'>,
  parentId = '',
): Promise<readonly Token[]> {
  return await collectPages(async (pageToken) => {
    const page = await tokens.listTokens({ parentId, pageToken, pageSize: PAGE_SIZE });
    return { items: page.tokens, nextPageToken: page.nextPageToken };
  });
}
