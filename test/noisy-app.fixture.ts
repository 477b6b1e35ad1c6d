// For tests and benchmarks: the noisy app, deployed on a platform of its own; it prints what it is sent.
import { request } from "node:http";
import { join } from "node:path";
import { AppRepository } from "./app-repository.fixture.ts";
import { endAndRemove, PlatformProcess, temporaryFolder } from "./platform.fixture.ts";

export class NoisyApp {
  readonly project = "noisy";
  readonly #folder: string;
  readonly #platform: PlatformProcess;
  readonly #host: string;

  private constructor(folder: string, platform: PlatformProcess, host: string) {
    this.#folder = folder;
    this.#platform = platform;
    this.#host = host;
  }

  static async deploy(): Promise<NoisyApp> {
    const folder = await temporaryFolder("noisy");
    const platform = await PlatformProcess.start(join(folder, "data"));
    const repository = await AppRepository.from("noisy-app", join(folder, "app"));
    await repository.commit({ gate: "" });
    const { git } = await platform.project("noisy");
    await repository.push(git, platform.address.token);
    const { url } = await platform.settled("noisy", (one) => one.cause === "push");
    return new NoisyApp(folder, platform, new URL(url).hostname);
  }

  /** For commands that are run beside it. */
  get environment(): Record<string, string> {
    return { TSDEV_URL: this.#platform.address.url, TSDEV_TOKEN: this.#platform.address.token };
  }

  /** The app's own log file, for comparison. */
  get data(): string {
    return this.#platform.data;
  }

  /** Resolves when the app has printed the text and answered. */
  print(text: string): Promise<void> {
    const { port } = new URL(this.#platform.address.url);
    return new Promise((resolve, reject) => {
      request({ host: "127.0.0.1", port, method: "POST", headers: { host: this.#host } }, (response) => {
        response.resume().on("end", resolve).on("error", reject);
      })
        .on("error", reject)
        .end(text);
    });
  }

  async end(): Promise<void> {
    await endAndRemove(this.#platform.data, this.#platform);
    await endAndRemove(this.#folder, undefined);
  }
}
