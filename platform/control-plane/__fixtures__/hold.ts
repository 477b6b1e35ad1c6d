// Takes hold of a data directory as soon as the clock says so, and keeps it until it is ended.
import { TsdevError } from "../../../sdk/errors.ts";
import { DataDirectory } from "../data-directory.ts";

const [, , path = "", at = "0"] = process.argv;
while (Date.now() < Number(at));
try {
  await DataDirectory.hold(path);
  console.log("held");
  setInterval(() => {}, 1000);
} catch (error) {
  console.log(JSON.stringify(TsdevError.from(error)));
}
