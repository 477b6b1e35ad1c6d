// Inbox data: the suggestions and rejections of every environment of every project, as one list.
import { useQueries } from "@tanstack/react-query";
import { type ApiError, read } from "../api/client.ts";
import { calmMs, liveMs, useRead } from "../api/hooks.ts";
import type { Project, Rejection, Suggestion } from "../api/types.ts";

export interface Place {
  project: string;
  environment: string;
}

export type PlacedRejection = Rejection & Place;

export interface Inbox {
  projects: Project[];
  suggestions: Suggestion[];
  rejections: PlacedRejection[];
  places: Place[];
  inWork: number;
  loading: boolean;
  error: ApiError | null;
}

export function useInbox(): Inbox {
  const projects = useRead("projects.list", {}, { every: calmMs });
  const places = (projects.data?.projects ?? []).flatMap((project) =>
    project.environments.map((environment) => ({ project: project.name, environment: environment.name })),
  );
  const lists = useQueries({
    queries: places.map((place) => ({
      queryKey: ["suggestions.list", place],
      queryFn: ({ signal }: { signal: AbortSignal }) => read("suggestions.list", place, signal),
      refetchInterval: (query: { state: { data?: { inWork: number } | undefined } }) =>
        (query.state.data?.inWork ?? 0) > 0 ? liveMs : calmMs,
    })),
  });
  const suggestions = lists
    .flatMap((list) => list.data?.suggestions ?? [])
    .sort((a, b) => b.finding.wastedMs - a.finding.wastedMs);
  const known = new Set(suggestions.map((one) => one.fingerprint));
  return {
    projects: projects.data?.projects ?? [],
    places,
    suggestions,
    // what was once left alone for want of evidence may since have become a suggestion
    rejections: lists.flatMap((list, index) =>
      (list.data?.rejections ?? [])
        .filter((rejection) => !known.has(rejection.fingerprint))
        .map((rejection) => ({ ...rejection, ...(places[index] as Place) })),
    ),
    inWork: Math.max(0, ...lists.map((list) => list.data?.inWork ?? 0)),
    loading: projects.isPending || lists.some((list) => list.isPending),
    error: projects.error ?? (lists.find((list) => list.error)?.error as ApiError | undefined) ?? null,
  };
}
