import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { awaitOperation } from '../../lib/operations.ts';

/** Encrypts the store of a running server anew. */
export default class EncryptionRotate extends MoltenCommand {
  static override readonly summary =
    'Encrypt the store of a running server under another random key.';
  static override readonly description =
    'Calls wait meanwhile, about ten seconds per gigabyte. The password stays; snapshots from before keep their key.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(EncryptionRotate);
    const client = this.client(flags as unknown as ServerFlags);
    const { operation } = await client.system.rotateDataKey({});
    const { id } = await awaitOperation(client, operation);
    this.log('every page is encrypted with a new key');
    return { operation: id };
  }
}
