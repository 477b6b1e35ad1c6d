// The supervisor: a shell that holds the listening socket as fd 3 and starts the router again whenever it dies.
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

// A shell needs 2 MB where Node needs 40, and has nothing in it that could crash. While no router runs, new connections wait in
// the socket's backlog. Exit 0 is an orderly end. `$1` names a router that already runs (0: none): it is watched, not started.
const script = `
adopt=$1; shift
trap '' HUP
while [ "$adopt" -gt 0 ] && kill -0 "$adopt" 2>/dev/null; do sleep 0.2; done
quick=0
while :; do
  began=$(date +%s)
  "$@"
  [ $? -eq 0 ] && exit 0
  if [ $(($(date +%s) - began)) -ge 10 ]; then quick=0; else quick=$((quick + 1)); fi
  case $quick in 0|1|2) ;; 3|4|5) sleep 0.3 ;; 6|7|8) sleep 1 ;; *) sleep 5 ;; esac
done
`;

/** Program and arguments that start a supervisor; the listening socket has to be its fd 3. */
export function supervisorArguments(options: {
  nodePath: string;
  table: string;
  socket: string;
  adopt?: number;
}): string[] {
  // `.ts` from source, `.js` when compiled.
  const entry = fileURLToPath(new URL(`./process${extname(import.meta.url)}`, import.meta.url));
  const router = [options.nodePath, entry, "--table", options.table, "--socket", options.socket];
  return ["sh", "-c", script, "tsdev-router-supervisor", String(options.adopt ?? 0), ...router];
}
