import { createValidator, type Violation } from '@bufbuild/protovalidate';

import { DomainError } from '../../errors/domain-error.ts';
import type { CallInterceptor } from '../call.ts';

/** Checks a request against the rules in its proto. ARGUMENT_INVALID names each field at fault. */
export function createValidate(): CallInterceptor {
  const validator = createValidator();
  return (next) => (call) => {
    const result = validator.validate(call.method.input, call.request);
    if (result.kind === 'valid') return next(call);
    if (result.kind === 'error') return Promise.reject(result.error);
    const violations = result.violations.map((violation) => ({
      field: fieldOf(violation),
      description: violation.message,
    }));
    const message = violations
      .map(({ field, description }) => (field === '' ? description : `${field}: ${description}`))
      .join('; ');
    return Promise.reject(new DomainError('ARGUMENT_INVALID', message, { violations }));
  };
}

/** The path of a field in the names that JSON uses. */
function fieldOf({ field }: Violation): string {
  let path = '';
  for (const step of field) {
    switch (step.kind) {
      case 'field':
        path += path === '' ? step.jsonName : `.${step.jsonName}`;
        break;
      case 'oneof':
        path += path === '' ? step.name : `.${step.name}`;
        break;
      case 'list_sub':
        path += `[${step.index.toString()}]`;
        break;
      case 'map_sub':
        path += `[${JSON.stringify(String(step.key))}]`;
        break;
      case 'extension':
        path += `[${step.typeName}]`;
        break;
    }
  }
  return path;
}
