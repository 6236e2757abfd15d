/**
 * The messages of one partition, or of all of them, through a consumer of our own.
 *
 * Two processes that shared a consumer would split its messages, and an ack of one would cover what the other
 * has not written. So every reader makes its own, starts it where the checkpoint says, and lets it expire.
 *
 * A consumer can fall silent: after a reconnect, a change of leader, or because somebody deleted it. What the stream
 * holds is compared with what came, and when the two disagree another consumer takes its place, behind the last message
 * that was read.
 */
import { AckPolicy, DeliverPolicy, type JetStreamManager, nanos, type NatsConnection, ReplayPolicy } from "nats";
import type { StoredMessage } from "../core/event.ts";
import { LatecomerError } from "../errors.ts";
import type { Backlog, LiveSource, OnRebound, ReadFrom, StreamPosition } from "../ports.ts";
import { ignoreAbsence, natsError } from "./connection.ts";
import { EVENT_STREAM } from "./definitions.ts";
import { Pull, type PulledMessage } from "./pull.ts";
import { firstMessageFrom, storedAtMs, streamState } from "./range.ts";

/** Messages and bytes handed over at once: some milliseconds of work. */
const SLICE = 128;
const SLICE_BYTES = 1_048_576;

/** The consumer goes this long after its reader has. */
const INACTIVE_MS = 5 * 60_000;

/**
 * What is not acknowledged for so long is sent again, and shows as a repeat. Nobody needs that, for whoever loses a message
 * makes another consumer: so long may a batch wait for ClickHouse.
 */
const ACK_WAIT_MS = 24 * 3_600_000;

/** How long an ack may wait for the server's reply. */
const ACK_TIMEOUT_MS = 5_000;

/** After so long without a message the stream is asked whether it holds any. */
const SILENCE_MS = 3_000;

/** What is read, and by whom. */
export interface Reading {
  /** The subjects that are read; may hold wildcards. */
  readonly subject: string;
  readonly from: ReadFrom;
  /** The name of the consumer. No two readers may share it. */
  readonly name: string;
  /**
   * True for one consumer that stays, under this very name, when its reader has gone; otherwise each consumer has
   * the name with a number behind it, and goes with its reader.
   */
  readonly durable: boolean;
  readonly onRebound: OnRebound;
}

export class ConsumerSource implements LiveSource {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  readonly #reading: Reading;
  #pull: Pull | undefined;
  #consumer = "";
  #bindings = 0;
  #lastSequence: number;
  /** The last message that the stream is known to have held, read by us or not. */
  #known: StreamPosition;
  /** Up to here the stream was seen to hold nothing unread; so that each look has only what is new to go through. */
  #emptyTo = 0;
  /** True when the stream was seen to hold it after the present consumer was made. */
  #isSameStream = false;
  #lastHeard = performance.now();
  #wasSilent = false;
  /** Of the present consumer the last message of each read that is not acknowledged, oldest first. */
  #unacknowledged: Pick<PulledMessage, "streamSequence" | "reply">[] = [];

  constructor(nc: NatsConnection, jsm: JetStreamManager, reading: Reading) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#reading = reading;
    this.#lastSequence = reading.from.fromSequence - 1;
    this.#known = reading.from.known;
  }

  /** Makes a consumer that begins behind what was read, and pulls from it. */
  async bind(): Promise<void> {
    const why = this.#pull?.broken ?? "";
    await this.#unbind();
    this.#isSameStream = false;
    this.#emptyTo = 0;
    this.#bindings++;
    const { durable, subject } = this.#reading;
    const name = durable ? this.#reading.name : `${this.#reading.name}-${this.#bindings}`;
    try {
      // One that a reader before us left begins elsewhere.
      if (durable) await this.#jsm.consumers.delete(EVENT_STREAM, name).catch(ignoreAbsence);
      await this.#jsm.consumers.add(EVENT_STREAM, {
        name,
        durable_name: name,
        ack_policy: AckPolicy.All,
        ack_wait: nanos(ACK_WAIT_MS),
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: Math.max(1, this.#lastSequence + 1),
        filter_subject: subject,
        // In memory, for nobody comes back to it: the checkpoint says where the next one begins. On disk the server would
        // write down again and again which messages are not acknowledged.
        ...(durable ? {} : { inactive_threshold: nanos(INACTIVE_MS), mem_storage: true }),
        max_ack_pending: -1,
        replay_policy: ReplayPolicy.Instant,
      });
    } catch (error) {
      throw natsError(error, `open a consumer of ${subject}`);
    }
    this.#consumer = name;
    this.#pull = new Pull(this.#nc, EVENT_STREAM, name, this.#lastSequence);
    this.#lastHeard = performance.now();
    this.#wasSilent = false;
    if (this.#bindings > 1) this.#reading.onRebound(why);
  }

  async read(most: number, waitMs: number): Promise<StoredMessage[]> {
    if (this.#pull === undefined || (this.#pull.broken !== "" && this.#pull.isEmpty)) await this.bind();
    const pull = this.#pull!;
    // Only now: a consumer made after the check could begin behind what was stored in between.
    if (!this.#isSameStream) await this.#requireSameStream();
    await pull.wait(waitMs);
    // A turn of the event loop between slices: a full buffer must not keep acks and inserts waiting for theirs.
    await new Promise(setImmediate);
    const messages = pull.take(Math.min(most, SLICE), SLICE_BYTES);
    if (messages.length === 0) {
      if (performance.now() - this.#lastHeard > SILENCE_MS) await this.#breakSilence(pull);
      return messages;
    }
    this.#lastHeard = performance.now();
    this.#wasSilent = false;
    const last = messages.at(-1)!;
    this.#unacknowledged.push({ streamSequence: last.streamSequence, reply: last.reply });
    this.#lastSequence = last.streamSequence;
    this.#know({ streamSequence: last.streamSequence, storedAtMs: last.streamTimeMs });
    return messages;
  }

  nextSequence(): number | undefined {
    return this.#pull?.nextSequence;
  }

  async ack(streamSequence: number): Promise<void> {
    let covered = 0;
    while ((this.#unacknowledged[covered]?.streamSequence ?? Infinity) <= streamSequence) covered++;
    const last = this.#unacknowledged[covered - 1];
    if (last === undefined) return;
    this.#unacknowledged = this.#unacknowledged.slice(covered);
    try {
      // AckPolicy All: the ack of one message covers all before it. The server's reply makes it certain.
      await this.#nc.request(last.reply, "+ACK", { timeout: ACK_TIMEOUT_MS });
    } catch {
      // The checkpoint has it already; a consumer that takes no ack is of no use any more.
      this.#pull?.break("an ack was not answered");
    }
  }

  async drainedUpTo(): Promise<StreamPosition | undefined> {
    const pull = this.#pull;
    // A consumer of a stream that lost its end has nothing to give either, and must be read from to find that out.
    const isQuiet = () =>
      pull !== undefined && this.#isSameStream && pull.broken === "" && pull.isEmpty &&
      this.#unacknowledged.length === 0;
    if (!isQuiet()) return undefined;
    try {
      const { state, cluster } = await this.#jsm.streams.info(EVENT_STREAM);
      // The stream is asked and not the consumer: in a cluster its member may lag behind what is stored.
      if (await this.#hasUnread() || !isQuiet()) return undefined;
      if (cluster !== undefined) {
        // A member that has just begun to lead may lag too.
        const { cluster: then } = await this.#jsm.streams.info(EVENT_STREAM);
        if (cluster.leader === undefined || then?.leader !== cluster.leader) return undefined;
      }
      const last = { streamSequence: state.last_seq, storedAtMs: Date.parse(state.last_ts) };
      this.#emptyTo = Math.max(this.#emptyTo, last.streamSequence);
      this.#know(last);
      return last;
    } catch {
      // Away for now: not known to be drained.
      return undefined;
    }
  }

  async backlog(): Promise<Backlog> {
    try {
      const info = await this.#jsm.consumers.info(EVENT_STREAM, this.#consumer);
      const pending = info.num_pending + info.num_ack_pending;
      if (pending === 0) return { pending, oldestMs: 0 };
      const seq = Math.max(info.ack_floor.stream_seq + 1, info.config.opt_start_seq ?? 1);
      // The first of ours from there on; the client knows only the half of what the server can look for.
      const query = { seq, next_by_subj: this.#reading.subject };
      return { pending, oldestMs: (await this.#jsm.streams.getMessage(EVENT_STREAM, query)).time.getTime() };
    } catch (error) {
      throw natsError(error, `read the backlog of ${this.#reading.subject}`);
    }
  }

  async close(): Promise<void> {
    if (this.#reading.durable) this.#pull?.close();
    else await this.#unbind();
  }

  /** Breaks a pull when the stream holds messages for it that did not come in two looks. */
  async #breakSilence(pull: Pull): Promise<void> {
    this.#lastHeard = performance.now();
    try {
      const owes = await this.#hasUnread();
      if (owes && this.#wasSilent && pull.isEmpty) pull.break("the stream has messages that do not come");
      this.#wasSilent = owes;
    } catch {
      // Away for now; the heartbeats that are missing then tell it too.
    }
  }

  /** True when the stream holds a message for this reader behind what was read. */
  async #hasUnread(): Promise<boolean> {
    const from = Math.max(this.#lastSequence, this.#emptyTo) + 1;
    return await firstMessageFrom(this.#jsm, EVENT_STREAM, this.#reading.subject, from) !== undefined;
  }

  #know(position: StreamPosition): void {
    if (position.streamSequence > this.#known.streamSequence) this.#known = position;
  }

  /** A server that lost its last seconds gives their sequences to other messages, which were never read. */
  async #requireSameStream(): Promise<void> {
    const { streamSequence, storedAtMs: knownMs } = this.#known;
    // The bounds first: a loss after they were asked breaks the pull, or shows in the message.
    const state = await streamState(this.#jsm, EVENT_STREAM, streamSequence);
    const there = await storedAtMs(this.#jsm, EVENT_STREAM, streamSequence);
    const isOther = there !== undefined && knownMs > 0 && there !== knownMs;
    this.#isSameStream = state.last_seq >= streamSequence && !isOther;
    if (this.#isSameStream) return;
    throw new LatecomerError(
      "STREAM_REWRITTEN",
      "fatal",
      `${EVENT_STREAM} no longer holds what it held at sequence ${streamSequence}`,
    );
  }

  async #unbind(): Promise<void> {
    this.#pull?.close();
    this.#pull = undefined;
    this.#unacknowledged = [];
    if (this.#consumer === "") return;
    const name = this.#consumer;
    this.#consumer = "";
    // Where that fails, it goes by itself when its inactivity threshold has passed.
    await this.#jsm.consumers.delete(EVENT_STREAM, name).catch(() => {});
  }
}
