// Shop repository: examples/shop as a git repository of its own; the same content is the same commit.
import { access, cp, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";

const shop = join(dirname(fileURLToPath(import.meta.url)), "../examples/shop");
/** What belongs to this checkout stays behind. */
const left = new Set(["node_modules", ".tsdev"]);
const fixed = {
  GIT_AUTHOR_NAME: "shop",
  GIT_AUTHOR_EMAIL: "shop@localhost",
  GIT_AUTHOR_DATE: "2026-01-01T00:00:00Z",
  GIT_COMMITTER_NAME: "shop",
  GIT_COMMITTER_EMAIL: "shop@localhost",
  GIT_COMMITTER_DATE: "2026-01-01T00:00:00Z",
};

/** Makes the repository in `folder`, or finds it made; answers the commit on main. */
export async function shopRepository(folder: string): Promise<string> {
  const made = await access(join(folder, ".git")).then(
    () => true,
    () => false,
  );
  if (!made) {
    const work = `${folder}.new`;
    await rm(work, { recursive: true, force: true });
    await mkdir(work, { recursive: true });
    await cp(shop, work, {
      recursive: true,
      filter: (source) => !left.has(source.slice(shop.length + 1).split("/")[0] ?? ""),
    });
    const git = (...args: string[]) =>
      execa("git", args, { cwd: work, env: { ...fixed, GIT_CONFIG_GLOBAL: "/dev/null" } });
    await git("init", "--quiet", "--initial-branch=main");
    await git("add", "--all");
    await git("commit", "--quiet", "--message=The shop: orders, catalog, checkout and fulfilment");
    await rename(work, folder);
  }
  const { stdout } = await execa("git", ["rev-parse", "main"], { cwd: folder });
  return stdout;
}
