export async function newest(ids: number[]): Promise<string[]> {
  const names: string[] = [];
  for (const id of ids) names.push(await nameOf(id));
  return names;
}

async function nameOf(id: number): Promise<string> {
  return `customer ${id}`;
}
