// The files in docs/how-to/structure-an-app.md run and say what the page says.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { appFixture } from "./app.fixture.ts";

test("the how-to's files run, from source and built", async () => {
  const page = await readFile(new URL("../../docs/how-to/structure-an-app.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/^```ts\n\/\/ src\/(\S+)\n(.*?)^```$/gms)];
  const files = Object.fromEntries(
    blocks.map(([, path, text]) => [path!, text!.replaceAll('"@tsdev/sdk"', '"SDK/index.ts"')]),
  );
  expect(Object.keys(files)).toHaveLength(3);
  await using app = await appFixture({});
  await app.write(Object.fromEntries(Object.entries(files).map(([path, text]) => [`src/${path}`, text])));
  await app.build(files, "dist");
  for (const main of ["src/main.ts", "dist/main.js"]) {
    expect(await app.run(main)).toEqual({ stdout: "[ 'charge' ] [ 'checkout' ]\n", stderr: "", code: 0 });
  }
});
