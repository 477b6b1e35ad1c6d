// @tsdev/sdk: what an app imports to declare procedures and workflows and to run them.
export { type AppConfig, defineConfig } from "./config.ts";
export type { Engine, EngineOptions, ExecuteOptions, RunState, RunStatus } from "./engine/engine.ts";
export { openEngine } from "./engine/open-engine.ts";
export { type ErrorCode, type ErrorShape, errorCodes, TsdevError } from "./errors.ts";
export type { NodeIr, ParallelIr, RetryIr, RunIr, StepIr, TimeoutIr, WorkflowIr } from "./ir/ir.ts";
export { createLog, type Log, type LogFields } from "./log.ts";
export { isTransient } from "./policies/transient.ts";
export { type CallOptions, call } from "./procedures/call.ts";
export {
  type AnyProcedure,
  type Effects,
  type InputOf,
  type OutputOf,
  type Procedure,
  type ProcedureContext,
  procedure,
} from "./procedures/procedure.ts";
export type { Recorder, RunRecord } from "./recorder.ts";
export type { TsdevTypeError } from "./workflows/scope.ts";
export {
  type AnyWorkflow,
  type Workflow,
  type WorkflowInput,
  type WorkflowOutput,
  workflow,
} from "./workflows/workflow.ts";
