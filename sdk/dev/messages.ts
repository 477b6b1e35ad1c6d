// Messages: what the process of an app and `tsdev dev`, which holds its port, tell each other.

/** To the app's process. With `connection` comes the socket; after `finish` comes none. */
export type ToApp = { kind: "connection" } | { kind: "finish" };

export type FromApp =
  /** It takes connections: the first load has ended, well or not. */
  | { kind: "ready" }
  /** This code answers from now on. `ms` is from the first notice of the change. */
  | { kind: "live"; ms: number; changed: string[]; modules: number; ports: number[] }
  /** This code could not be loaded; the one before answers. */
  | { kind: "broken"; place: string | null; message: string; detail: string }
  /** Only a new process gets what changed. */
  | { kind: "restart"; reason: string }
  /** No request is in flight any more. */
  | { kind: "finished" };
