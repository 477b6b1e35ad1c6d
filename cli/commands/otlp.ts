// otlp: what an app that tsdev did not deploy needs in its environment to send its telemetry here.
import { print } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

export async function otlp(flags: EnvironmentFlags): Promise<void> {
  const { client, where } = await place(flags);
  await client.call("projects.create", { name: where.project });
  const { token } = await client.call("identity.ingestToken", where);
  const variables = otlpVariables(where.project, client.address.url, token);
  print(variables, flags, () =>
    Object.entries(variables)
      .map(([name, value]) => `export ${name}='${value}'`)
      .join("\n"),
  );
}

/** The variables of OpenTelemetry's specification, as every SDK reads them. */
export function otlpVariables(service: string, url: string, token: string) {
  return {
    OTEL_SERVICE_NAME: service,
    // an app may resolve localhost to ::1, where nothing listens
    OTEL_EXPORTER_OTLP_ENDPOINT: url.replace("//localhost:", "//127.0.0.1:"),
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${token}`,
    // Python's default is gRPC, which has a port of its own
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
  };
}
