// Browser: the Chromium that screenshots and browser tests use; it comes with npm and talks to nobody but the pages.
import chromium from "@sparticuz/chromium";
import { type Browser, chromium as playwright } from "playwright-core";

/** `env` is added to this process's environment. */
export async function openBrowser(env: Record<string, string> = {}): Promise<Browser> {
  return playwright.launch({
    executablePath: await chromium.executablePath(),
    args: [
      // the sandbox needs rights that containers and root do not have; the pages are our own
      "--no-sandbox",
      "--no-zygote",
      "--disable-gpu",
      "--font-render-hinting=none",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-domain-reliability",
      "--disable-sync",
      "--no-first-run",
      "--no-pings",
    ],
    env: { ...process.env, ...env },
    headless: true,
  });
}
