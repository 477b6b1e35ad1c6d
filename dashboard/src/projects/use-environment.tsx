// The environment that a page of a project shows, kept in its address, and the control that changes it.
import { useSearchParams } from "wouter";
import { useRead } from "../api/hooks.ts";

export function useEnvironment(project: string) {
  const [query, setQuery] = useSearchParams();
  const { data, error } = useRead("projects.get", { project });
  const names = data?.environments.map((one) => one.name) ?? [];
  const asked = query.get("environment");
  const environment = asked ?? (names.includes("production") ? "production" : names[0]) ?? "production";
  const select =
    names.length > 1 ? (
      <select
        className="field"
        aria-label="Environment"
        value={environment}
        onChange={(event) =>
          setQuery((before) => {
            before.set("environment", event.target.value);
            return before;
          })
        }
      >
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    ) : null;
  return { environment, select, error, live: data?.environments.some((one) => one.liveDeployment !== null) ?? null };
}
