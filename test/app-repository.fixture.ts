// For tests: an app in a git repository of its own, changed, committed and pushed as a person would.
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, type Said } from "./platform.fixture.ts";

const here = dirname(fileURLToPath(import.meta.url));
const ada = {
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.com",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.com",
};

export type Files = Record<string, string | null>;

export class AppRepository {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** A repository with one of `test/__fixtures__` in it, not committed yet. */
  static async from(fixture: string, folder: string): Promise<AppRepository> {
    await cp(join(here, "__fixtures__", fixture), folder, { recursive: true });
    const repository = new AppRepository(folder);
    await repository.git(["init", "--quiet", "--initial-branch=main"]);
    return repository;
  }

  /** The app that the SDK serves, with the shop's dependencies and lockfile, which a test keeps in step with the SDK. */
  static async graceful(folder: string): Promise<AppRepository> {
    const repository = await AppRepository.from("graceful-app", folder);
    const shop = async (file: string) => JSON.parse(await readFile(join(here, "../examples/shop", file), "utf8"));
    const manifest = { ...(await shop("package.json")), name: "graceful", scripts: { start: "node main.ts" } };
    await repository.write({
      "package.json": JSON.stringify(manifest),
      "package-lock.json": JSON.stringify(await shop("package-lock.json")),
    });
    return repository;
  }

  /** Null removes a file. */
  async write(files: Files): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.folder, name);
      await mkdir(dirname(path), { recursive: true });
      if (content === null) await rm(path, { force: true });
      else await writeFile(path, content);
    }
  }

  async commit(files: Files, message = "change"): Promise<string> {
    await this.write(files);
    await this.git(["add", "--all"]);
    await this.git(["commit", "--quiet", "--allow-empty", "-m", message]);
    return this.git(["rev-parse", "HEAD"]);
  }

  /** Pushes to a remote with the token as the password, whatever comes of it. */
  push(remote: string, token: string, refspec = "HEAD:refs/heads/main", ...flags: string[]): Promise<Said> {
    const address = new URL(remote);
    address.username = "ada";
    address.password = token;
    return run(["git", "push", ...flags, address.href, refspec], { cwd: this.folder, env: ada });
  }

  /** Takes a commit's files back, with those that came since removed; commits nothing. */
  async restore(commit: string): Promise<void> {
    await this.git(["rm", "-rq", "--cached", "."]);
    await this.git(["clean", "-fdxq"]);
    await this.git(["checkout", commit, "--", "."]);
  }

  async git(args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run(["git", ...args], { cwd: this.folder, env: ada });
    if (code !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  }
}
