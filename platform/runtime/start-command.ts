// The start command of an app as a program and its arguments.

export interface StartCommand {
  program: string;
  args: string[];
  /** False when a shell has to run it, so that the app is not the direct child. */
  direct: boolean;
}

/**
 * A plain `node …` command is run directly with our Node: a shell or npm in between would swallow SIGTERM and the exit code.
 * Anything with quotes, variables, redirections or another program goes through `sh -c`.
 */
export function parseStartCommand(start: string, nodePath: string): StartCommand {
  const words = start.trim().split(/\s+/);
  const plain = /^[\w@%+=:,./\s-]+$/.test(start);
  if (plain && words[0] === "node" && words.length > 1)
    return { program: nodePath, args: words.slice(1), direct: true };
  return { program: "sh", args: ["-c", start], direct: false };
}
