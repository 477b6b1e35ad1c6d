// @tsdev/sdk: what an app imports to declare procedures and workflows and to run them.
export { type AppConfig, defineConfig } from "./config.ts";
export { type DiscoverOptions, discover } from "./discovery/discover.ts";
export type {
  Engine,
  EngineOptions,
  ExecuteOptions,
  RunFilter,
  RunOrigin,
  RunState,
  RunStatus,
  StartOptions,
  Wait,
} from "./engine/engine.ts";
export { openEngine } from "./engine/open-engine.ts";
export type { RunEvent } from "./engine/run-event.ts";
export { type ErrorCode, type ErrorShape, errorCodes, TsdevError } from "./errors.ts";
export type {
  ApproveIr,
  CacheIr,
  CallIr,
  CircuitBreakerIr,
  CompensateIr,
  EachIr,
  MatchIr,
  NodeIr,
  ParallelIr,
  PoliciesIr,
  RateLimitIr,
  RepeatIr,
  RetryIr,
  RunIr,
  SleepIr,
  StepIr,
  TimeoutIr,
  WaitForIr,
  WhenIr,
  WorkflowIr,
} from "./ir/ir.ts";
export { createLog, type Log, type LogFields } from "./log.ts";
export { type CachedOutput, type CacheStore, shareCache } from "./policies/cache-store.ts";
export { type LimitStore, type Place, shareLimits } from "./policies/limit-store.ts";
export type {
  AuthOptions,
  CacheOptions,
  CircuitBreakerOptions,
  PolicyKey,
  ProcedurePolicies,
  RateLimitOptions,
  RetryOptions,
  TimeoutOptions,
} from "./policies/policies.ts";
export { type RedisPolicies, type RedisPoliciesOptions, redisPolicies } from "./policies/redis.ts";
export { isTransient } from "./policies/transient.ts";
export { type CallOptions, call } from "./procedures/call.ts";
export { DeclaredError } from "./procedures/declared-error.ts";
export {
  type AnyProcedure,
  type DeclaredErrorContract,
  type DeclaredErrors,
  type Effects,
  type HandlerContext,
  type HttpRoute,
  type InputOf,
  type OutputOf,
  type Principal,
  type Procedure,
  type ProcedureContext,
  procedure,
} from "./procedures/procedure.ts";
export { type Stream, stream } from "./procedures/stream.ts";
export type { CallFailure, CallRecord, Recorder, RunRecord } from "./recorder.ts";
export { createRegistry, type Declaration, isDeclaration, type Registry } from "./registry.ts";
export { type BullmqOptions, bullmq } from "./triggers/bullmq.ts";
export { type CronParts, cron } from "./triggers/cron.ts";
export { type EnqueueOptions, enqueue } from "./triggers/enqueue.ts";
export { handleWebhook } from "./triggers/handle-webhook.ts";
export { type HmacOptions, hmac } from "./triggers/hmac.ts";
export { none } from "./triggers/none.ts";
export { type OnEventParts, onEvent } from "./triggers/on-event.ts";
export { type Queue, type QueueParts, queue } from "./triggers/queue.ts";
export { standardWebhooks } from "./triggers/standard-webhooks.ts";
export { stripe } from "./triggers/stripe.ts";
export type {
  AnyTrigger,
  CronTrigger,
  Deliver,
  EventTrigger,
  MessageSource,
  QueueTrigger,
  WebhookTrigger,
} from "./triggers/trigger.ts";
export type { Secret, Verifier } from "./triggers/verifier.ts";
export { type WebhookParts, webhook } from "./triggers/webhook.ts";
export type { AnyWorkflow, Approval, Collected } from "./workflows/definition.ts";
export { type AnyEvent, type Event, event } from "./workflows/event.ts";
export type { AnyBranch, NoBranch, Pair, ScopeOf } from "./workflows/scope.ts";
export type { TsdevTypeError } from "./workflows/scope-checks.ts";
export {
  type Branch,
  type CallTail,
  type Chain,
  type Inside,
  type KeyedTail,
  type PolicyTail,
  type Root,
  type RunTail,
  type StepTail,
  type Workflow,
  type WorkflowInput,
  type WorkflowOptions,
  type WorkflowOutput,
  workflow,
} from "./workflows/workflow.ts";
