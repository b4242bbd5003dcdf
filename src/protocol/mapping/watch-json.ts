import { fromJson, toJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';

import {
  WatchEventKindSchema,
  WatchRequestSchema,
  WatchResponseSchema,
  type WatchRequest,
  type WatchResponse,
} from '../../../gen/molten/v1/watch_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';

/** Members of a target that may stand beside the others when there is only one. */
const TARGET_MEMBERS: readonly string[] = ['collection', 'keys', 'keyPrefix', 'where'];

/**
 * A WatchRequest from JSON: its own members, or those of a single target in the place of `targets`.
 * ARGUMENT_INVALID for what is neither.
 */
export function parseWatchRequest(json: Readonly<Record<string, unknown>>): WatchRequest {
  const isOfTarget = ([name]: readonly [string, unknown]): boolean => TARGET_MEMBERS.includes(name);
  const members = Object.entries(json);
  const target = Object.fromEntries(members.filter(isOfTarget));
  const rest = Object.fromEntries(members.filter((member) => !isOfTarget(member)));
  if (Object.keys(target).length > 0 && Object.hasOwn(rest, 'targets')) {
    throw invalid(
      `'targets' and '${Object.keys(target).join("', '")}' are given; give one of them`,
    );
  }
  const whole = { targets: [target], ...rest };
  try {
    return fromJson(WatchRequestSchema, whole as JsonValue, { ignoreUnknownFields: false });
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
}

function invalid(problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `the request is not a WatchRequest: ${problem}`);
}

/** The name of an event, such as `commit`. */
export function eventName({ kind }: WatchResponse): string {
  return (WatchEventKindSchema.value[kind]?.localName ?? 'unknown').toLowerCase();
}

/** A message in the JSON of protobuf; what is empty is left out. */
export function toWatchJson(response: WatchResponse): JsonObject {
  // A message is an object in JSON, always.
  return toJson(WatchResponseSchema, response) as JsonObject;
}
