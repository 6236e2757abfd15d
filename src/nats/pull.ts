/**
 * Pulling from a consumer, so that nothing is skipped and memory is bounded.
 *
 * The client's own `consume()` bounds either messages or bytes, and after a reconnect it carries on as if what was on
 * its way had never been sent: with AckPolicy All the next ack then covers messages that nobody has seen. Here the
 * server's delivery sequence is watched instead: it counts what was handed out, so a gap in it means a loss. A pull
 * that lost something, or that the server has forgotten, is *broken*: what it still holds is good, nothing more comes,
 * and whoever reads makes another one.
 *
 * Requests follow ADR-37 of the NATS architecture: the next one goes out when half of the last one has come.
 */
import {
  createInbox,
  Events,
  type Msg,
  type MsgHdrs,
  nanos,
  type NatsConnection,
  type Status,
  type Subscription,
} from "nats";

/** Messages and bytes of one request; two may be under way. */
const BATCH = 512;
const BATCH_BYTES = 8 * 1_048_576;

/** Bytes of unread messages at which no more are asked for; each partition of a process may have as many. */
const MOST_BUFFERED_BYTES = 2 * 1_048_576;

/** How long a request waits at the server, and how often the server says that it does. */
const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 2_000;

/** A server that has been silent for so many heartbeats has lost the request. */
const MOST_MISSED = 3;

/** A message as a pull hands it over. */
export interface PulledMessage {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly streamSequence: number;
  readonly streamTimeMs: number;
  /** Where its ack goes. */
  readonly reply: string;
  /** Only where the pull was asked for them: to read them costs time. */
  readonly headers: MsgHdrs | undefined;
}

export class Pull {
  readonly #nc: NatsConnection;
  readonly #requestSubject: string;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #status: AsyncIterable<Status> & { stop?: () => void };
  readonly #heartbeat: ReturnType<typeof setInterval>;
  /** The stream sequence behind which the consumer was told to begin. */
  readonly #after: number;
  readonly #withHeaders: boolean;
  readonly #buffer: PulledMessage[] = [];
  #bufferedBytes = 0;
  /** Messages and bytes asked for and not answered yet. */
  #wanted = 0;
  #wantedBytes = 0;
  /** The delivery sequence of the last message that came. */
  #delivered = 0;
  /** The stream sequence of the last message that came. */
  #last = 0;
  #missed = 0;
  #broken = "";
  #wake: (() => void) | undefined;

  constructor(nc: NatsConnection, stream: string, consumer: string, after: number, withHeaders = false) {
    this.#nc = nc;
    this.#after = after;
    this.#withHeaders = withHeaders;
    this.#requestSubject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#inbox = createInbox();
    this.#subscription = nc.subscribe(this.#inbox, {
      callback: (error, message) => error === null ? this.#onMessage(message) : this.break(error.message),
    });
    this.#status = nc.status();
    this.#watchConnection();
    this.#heartbeat = setInterval(() => {
      if (++this.#missed > MOST_MISSED) this.break("the server is silent");
    }, HEARTBEAT_MS);
    this.#request();
  }

  /** Why nothing more comes, blank while more may come. */
  get broken(): string {
    return this.#broken;
  }

  /** The stream sequence of the oldest unread message. */
  get nextSequence(): number | undefined {
    return this.#buffer[0]?.streamSequence;
  }

  get isEmpty(): boolean {
    return this.#buffer.length === 0;
  }

  /** Resolves when a message is there, when the pull broke, or when the time is up. */
  async wait(waitMs: number): Promise<void> {
    if (this.#buffer.length > 0 || this.#broken !== "") return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, waitMs);
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }

  /** The oldest unread messages, at most so many, and no more once they hold so many bytes. */
  take(most: number, mostBytes: number): PulledMessage[] {
    let count = 0;
    let bytes = 0;
    while (count < most && count < this.#buffer.length && bytes < mostBytes) {
      bytes += this.#buffer[count++]!.bytes.length;
    }
    const taken = this.#buffer.splice(0, count);
    this.#bufferedBytes -= bytes;
    this.#request();
    return taken;
  }

  /** Stops pulling; what was pulled can still be taken. */
  break(why: string): void {
    if (this.#broken !== "") return;
    this.#broken = why;
    this.close();
    this.#wake?.();
  }

  close(): void {
    clearInterval(this.#heartbeat);
    this.#status.stop?.();
    if (!this.#nc.isClosed()) this.#subscription.unsubscribe();
  }

  #request(): void {
    const full = this.#bufferedBytes >= MOST_BUFFERED_BYTES || this.#buffer.length >= 2 * BATCH;
    if (this.#broken !== "" || full || this.#wanted > BATCH / 2 || this.#wantedBytes > BATCH_BYTES) return;
    this.#wanted += BATCH;
    this.#wantedBytes += BATCH_BYTES;
    const request = {
      batch: BATCH,
      max_bytes: BATCH_BYTES,
      expires: nanos(EXPIRES_MS),
      idle_heartbeat: nanos(HEARTBEAT_MS),
    };
    this.#nc.publish(this.#requestSubject, JSON.stringify(request), { reply: this.#inbox });
  }

  #onMessage(message: Msg): void {
    this.#missed = 0;
    if (this.#broken !== "") return;
    if (message.reply === undefined || message.reply === "") return this.#onStatus(message);
    const [deliverySequence, streamSequence, streamTimeMs] = readReply(message.reply);
    if (deliverySequence !== ++this.#delivered) return this.break("messages on their way were lost");
    // What waited too long for its ack comes again in sequence, as if it were new.
    if (streamSequence <= this.#last) return this.break("messages came again");
    this.#last = streamSequence;
    const { subject, data: bytes, reply } = message;
    // A server that does not hold as much yet, as a member of a cluster may not, begins at the end of what it has.
    if (streamSequence > this.#after) {
      const headers = this.#withHeaders ? message.headers : undefined;
      this.#buffer.push({ subject, bytes, streamSequence, streamTimeMs, reply, headers });
      this.#bufferedBytes += bytes.length;
      this.#wake?.();
    }
    this.#wanted--;
    this.#wantedBytes = Math.max(0, this.#wantedBytes - bytes.length);
    // A request that brought its last message is over, whatever is left of its bytes.
    if (this.#wanted === 0) this.#wantedBytes = 0;
    if (this.#wanted <= BATCH / 2) this.#request();
  }

  /** Heartbeats, the end of a request with what it left unanswered, and the server's refusals. */
  #onStatus(message: Msg): void {
    const code = message.headers?.code ?? 0;
    if (code === 100) return;
    const description = message.headers?.description ?? "";
    const isOver = code === 408 || code === 404 || (code === 409 && !/consumer|leadership|server/i.test(description));
    if (!isOver) return this.break(code === 503 ? "no consumer answers" : `${code} ${description}`);
    const left = Number(message.headers?.get("Nats-Pending-Messages") || BATCH);
    const leftBytes = Number(message.headers?.get("Nats-Pending-Bytes") || BATCH_BYTES);
    this.#wanted = Math.max(0, this.#wanted - left);
    this.#wantedBytes = this.#wanted === 0 ? 0 : Math.max(0, this.#wantedBytes - leftBytes);
    this.#request();
  }

  async #watchConnection(): Promise<void> {
    for await (const { type } of this.#status) {
      // What was on its way when the line broke is gone, and the server takes it for delivered.
      if (type === Events.Disconnect || type === Events.Reconnect) return this.break("the connection was interrupted");
    }
  }
}

/**
 * Delivery sequence, stream sequence and stored time out of an ack subject:
 * `$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<deliveries>.<stream seq>.<delivery seq>.<time ns>.<pending>[.<token>]`
 * (ADR-15 of the NATS architecture; the longer form has at least eleven tokens).
 */
export function readReply(reply: string): [deliverySequence: number, streamSequence: number, streamTimeMs: number] {
  // By its dots: to split every reply into texts was a tenth of what receiving takes.
  let count = 1;
  for (let at = reply.indexOf("."); at >= 0; at = reply.indexOf(".", at + 1)) count++;
  let from = 0;
  for (let nth = 0; nth < (count === 9 ? 5 : 7); nth++) from = reply.indexOf(".", from) + 1;
  const delivery = reply.indexOf(".", from) + 1;
  const time = reply.indexOf(".", delivery) + 1;
  const end = reply.indexOf(".", time);
  return [
    Number(reply.slice(delivery, time - 1)),
    Number(reply.slice(from, delivery - 1)),
    Number(reply.slice(time, end - 6)), // Nanoseconds.
  ];
}

/** How many messages its consumer had behind this one when it was sent, out of the same subject. */
export function pendingBehind(reply: string): number {
  const tokens = reply.split(".");
  return Number(tokens[tokens.length === 9 ? 8 : 10]);
}
