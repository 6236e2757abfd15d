/** Stands in for `nats stream purge STREAM --force` of the NATS command line, for machines that have none. */
import process from "node:process";
import { connect } from "nats";

const [noun, verb, stream, ...flags] = process.argv.slice(2);
if (noun !== "stream" || verb !== "purge" || stream === undefined || flags.join() !== "--force") {
  throw new Error(`not known here: nats ${process.argv.slice(2).join(" ")}`);
}
const nc = await connect({ servers: process.env.NATS_URL! });
await (await nc.jetstreamManager()).streams.purge(stream);
await nc.close();
