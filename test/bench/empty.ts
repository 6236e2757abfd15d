/** `node empty.js NATS_URL COUNT`: reads so many events, does nothing with them, and prints the most memory that took, in MiB. */
import { resolveConfig } from "../../src/config.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { emptyConsumer } from "./throughput.ts";
import { peakRssMb } from "./used.ts";

const [natsUrl, count] = process.argv.slice(2) as [string, string];
const nc = await connectNats(resolveConfig({}, { natsUrl }));
await emptyConsumer(nc, Number(count), 1_024);
console.log(peakRssMb());
process.exit(0);
