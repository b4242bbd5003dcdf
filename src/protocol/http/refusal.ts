import { DomainError } from '../../errors/domain-error.ts';

/** A request that is refused before it is looked at, with a status that says more than its reason. */
export class HttpRefusal extends DomainError {
  readonly status: number;

  constructor(status: number, message: string, metadata: Readonly<Record<string, string>> = {}) {
    super('ARGUMENT_INVALID', message, { metadata });
    this.status = status;
  }
}
