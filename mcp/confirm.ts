// Confirm: nothing that cannot be undone is done before its plan was shown and a person or a second call agreed.
import {
  acceptedContent,
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  inputRequired,
  type RequestStateCodec,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { TsdevError } from "../sdk/errors.ts";
import { type Operation, type Principal, roles } from "../sdk/operation.ts";
import { type Confirmations, confirmationSeconds, type Planned } from "./confirmations.ts";
import { outline } from "./outline.ts";
import { textResult } from "./results.ts";
import { clean } from "./text.ts";

const Agreement = z.object({ confirm: z.boolean() });
const agreementKey = "confirm";

/** Null when the call was confirmed, else what to answer instead of doing it. */
export type Confirm = (
  operation: Operation,
  input: Record<string, unknown>,
  confirmation: string | undefined,
  principal: Principal,
  context: ServerContext,
) => Promise<CallToolResult | null>;

/**
 * Two ways, one binding (principal, operation, input, time, single use): a client that can ask its user is told to
 * (`input_required`); any other gets the plan with a code to be passed with the same call again.
 */
export function confirmWith(confirmations: Confirmations, codec: RequestStateCodec<{ plan: string }>): Confirm {
  return async (operation, input, confirmation, principal, context) => {
    refuse(operation, input, principal);
    const planned: Planned = { principal: principal.id, operation: operation.name, input };
    const plan = [
      `${operation.name}: ${operation.summary}. This cannot be undone.`,
      ...outline(shown(operation, input)),
    ];
    if (!canAsk(context)) {
      if (confirmation !== undefined && confirmations.take(confirmation, planned)) return null;
      return textResult({
        head: `${confirmation === undefined ? "Nothing was done yet." : "Nothing was done: this confirmation is unknown, used, expired, or of another call."} Show this plan to the person you work for; when they agree, call again with the same input and confirmation: ${confirmations.plan(planned)} (good once, for ${confirmationSeconds / 60} minutes).`,
        data: plan,
      });
    }
    // the state was verified before this ran; without one an answer is forged and only asked for again
    const state = context.mcpReq.requestState<{ plan: string }>();
    const answered = context.mcpReq.inputResponses?.[agreementKey] !== undefined;
    if (state && answered && confirmations.take(state.plan, planned)) {
      if (acceptedContent(context.mcpReq.inputResponses, agreementKey, Agreement)?.confirm === true) return null;
      throw new TsdevError("canceled", {
        message: "it was not confirmed",
        fix: "nothing was done; ask again if it is wanted",
      });
    }
    return inputRequired({
      inputRequests: {
        [agreementKey]: inputRequired.elicit({
          message: clean(plan.join("\n")),
          requestedSchema: {
            type: "object",
            properties: { [agreementKey]: { type: "boolean", title: "Do it", default: false } },
            required: [agreementKey],
          },
        }),
      },
      requestState: await codec.mint({ plan: confirmations.plan(planned) }, context),
    }) as unknown as CallToolResult;
  };
}

/** Refuses at once what would be refused anyway, before anyone is asked. */
function refuse(operation: Operation, input: unknown, principal: Principal): void {
  if (roles.indexOf(principal.role) < roles.indexOf(operation.access.role)) {
    throw new TsdevError("forbidden", {
      message: `${operation.name} needs the role ${operation.access.role}`,
      fix: "use a token of a member with that role",
    });
  }
  const checked = operation.input.safeParse(input);
  if (checked.success) return;
  const issue = checked.error.issues[0];
  const path = issue?.path.map(String).join(".") || undefined;
  throw new TsdevError("invalid_input", {
    message: `${operation.name}: ${path ?? "input"}: ${issue?.message}`,
    fix: "see the tool's input schema",
    path,
  });
}

/** The input without values marked as sensitive. */
function shown(operation: Operation, input: Record<string, unknown>): Record<string, unknown> {
  const shape = (operation.input instanceof z.ZodObject ? operation.input.shape : {}) as Record<string, z.ZodType>;
  return Object.fromEntries(
    Object.entries(input).map(([key, value]) => [key, shape[key]?.meta()?.sensitive === true ? "[not shown]" : value]),
  );
}

/** True for a client of the stateless era that can ask its user; older ones cannot be asked over stateless HTTP. */
function canAsk(context: ServerContext): boolean {
  const envelope = context.mcpReq.envelope as Record<string, unknown> | undefined;
  const capabilities = envelope?.[CLIENT_CAPABILITIES_META_KEY] as { elicitation?: { form?: object } } | undefined;
  return capabilities?.elicitation !== undefined;
}
