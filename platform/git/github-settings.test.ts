// GitHub's settings from the environment, and the addresses beside an API.
import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { cloneAddress, gitAddress, gitHubSettings } from "./github-settings.ts";

const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "pkcs1", format: "pem" },
});
const app = { TSDEV_GITHUB_APP_ID: "7", TSDEV_GITHUB_INSTALLATION_ID: "70" };

test("without settings there are no credentials, and the address is that of github.com", () => {
  expect(gitHubSettings({})).toEqual({ credentials: null, baseUrl: "https://api.github.com", secrets: [] });
  expect(gitHubSettings({ TSDEV_GITHUB_TOKEN: " " }).credentials).toBeNull();
});

test("a token, or an App whose key may have its line ends written out", () => {
  expect(gitHubSettings({ TSDEV_GITHUB_TOKEN: "ghp_x\n", TSDEV_GITHUB_URL: "http://localhost:4000/" })).toEqual({
    credentials: { token: "ghp_x" },
    baseUrl: "http://localhost:4000",
    secrets: ["ghp_x"],
  });
  const flat = privateKey.trim().replaceAll("\n", "\\n");
  expect(gitHubSettings({ ...app, TSDEV_GITHUB_PRIVATE_KEY: flat }).credentials).toEqual({
    appId: 7,
    privateKey: privateKey.trim(),
    installationId: 70,
  });
});

test.each([
  ["half an App", app, "TSDEV_GITHUB_PRIVATE_KEY"],
  ["an App without its number", { TSDEV_GITHUB_PRIVATE_KEY: privateKey }, "TSDEV_GITHUB_APP_ID"],
  ["a number that is none", { ...app, TSDEV_GITHUB_APP_ID: "seven" }, "TSDEV_GITHUB_APP_ID"],
  ["an address that is none", { TSDEV_GITHUB_URL: "github" }, "TSDEV_GITHUB_URL"],
  ["a password in the address", { TSDEV_GITHUB_URL: "https://a:b@host/api/v3" }, "TSDEV_GITHUB_URL"],
])("%s is refused by its name, and no secret is said", (_what, env, path) => {
  let thrown: unknown;
  try {
    gitHubSettings(env);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: "invalid_config", path });
  expect(JSON.stringify(thrown)).not.toContain("PRIVATE KEY-----");
});

test("git is beside the API of github.com, GHE.com and an Enterprise Server, and nowhere that is known elsewhere", () => {
  expect(gitAddress("https://api.github.com", "ada/shop")).toBe("https://github.com/ada/shop.git");
  expect(gitAddress("https://api.octo.ghe.com", "ada/shop")).toBe("https://octo.ghe.com/ada/shop.git");
  expect(gitAddress("https://git.example.com/api/v3", "ada/shop")).toBe("https://git.example.com/ada/shop.git");
  expect(gitAddress("http://127.0.0.1:4000", "ada/shop")).toBeNull();
  expect(cloneAddress("http://127.0.0.1:4000", "ada/shop")).toBe("http://127.0.0.1:4000/ada/shop.git");
});
