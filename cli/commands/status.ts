import { toJson, type JsonObject } from '@bufbuild/protobuf';

import { GetStatusResponseSchema } from '../../gen/molten/v1/system_pb.ts';
import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';

/** Tells how a server does. */
export default class Status extends MoltenCommand {
  static override readonly summary = 'Show how the server does and what its store holds.';

  async run(): Promise<unknown> {
    const flags = (await this.parse(Status)).flags as unknown as ServerFlags;
    const status = await this.client(flags).system.getStatus({});
    const json = toJson(GetStatusResponseSchema, status, { alwaysEmitImplicit: true });
    this.printFields(json as JsonObject);
    return json;
  }
}
