import { DomainError } from '../../errors/domain-error.ts';

/** ARGUMENT_INVALID about one field of a request. */
export function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
