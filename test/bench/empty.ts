/**
 * `node empty.js NATS_URL COUNT MESSAGES_PER_ACK`: reads so many events and does nothing with them, first a part of them
 * so that the code is compiled. Prints one line of JSON.
 */
import { resolveConfig } from "../../src/config.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { emptyConsumer, WARMING } from "./throughput.ts";
import { peakRssMb } from "./used.ts";

export interface Empty {
  readonly perSecond: number;
  /** The most memory that it took. */
  readonly rssMb: number;
}

const [natsUrl, count, messagesPerAck] = process.argv.slice(2) as [string, string, string];
const nc = await connectNats(resolveConfig({}, { natsUrl }));
await emptyConsumer(nc, Math.ceil(WARMING * Number(count)), Number(messagesPerAck));
const perSecond = await emptyConsumer(nc, Number(count), Number(messagesPerAck));
console.log(JSON.stringify({ perSecond, rssMb: peakRssMb() } satisfies Empty));
process.exit(0);
