/** The generation that the stored facts have: whoever makes a new one must be above it, or its rows would be hidden. */
import type { ClickHouse } from "./client.ts";

/** The greatest generation of any stored fact, 0 when there is none. */
export async function storedGeneration(clickhouse: ClickHouse): Promise<number> {
  // The upper 12 of the 128 bits, see core/evidence.ts.
  const [row] = await clickhouse.rows<{ generation: string }>(
    "SELECT max(bitShiftRight(version, 116)) AS generation FROM fact_stream_status_samples",
  );
  return Number(row?.generation ?? 0);
}
