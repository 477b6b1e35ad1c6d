// otlp: what an app that tsdev did not deploy needs in its environment to send its traces here.
import { print } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

export async function otlp(flags: EnvironmentFlags): Promise<void> {
  const { client, where } = await place(flags);
  await client.call("projects.create", { name: where.project });
  const { token } = await client.call("identity.ingestToken", where);
  // an app may resolve localhost to ::1, where nothing listens
  const endpoint = client.address.url.replace("//localhost:", "//127.0.0.1:");
  const variables = {
    OTEL_SERVICE_NAME: where.project,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${token}`,
  };
  print(variables, flags, () =>
    Object.entries(variables)
      .map(([name, value]) => `export ${name}='${value}'`)
      .join("\n"),
  );
}
