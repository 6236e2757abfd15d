/** A line to a server on loopback that a test can spoil: cut, stuck, answering for the server, or losing its answers. */
import { connect as dial, createServer, type Server, type Socket } from "node:net";

/**
 * - `reset`: half of a request goes out, then the line breaks;
 * - `swallow`: the server takes the whole request, and the line breaks before its answer;
 * - `error`: requests are answered with a bare 500, the server does not see them;
 * - `hang`: nothing moves, and goes on when the line is mended.
 */
type Mode = "pass" | "reset" | "swallow" | "error" | "hang";

export class Line {
  readonly #target: number;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #mode: Mode = "pass";

  constructor(target: number) {
    this.#target = target;
  }

  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    this.#server = createServer((client) => this.#serve(client));
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as { port: number }).port;
  }

  /** Refuses connections, and cuts those that are open. */
  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve) ?? resolve(undefined));
    this.cut();
    await closed;
  }

  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  set mode(mode: Mode) {
    this.#mode = mode;
    // What was held back goes on as on a network that was stuck.
    if (mode === "pass") { for (const socket of this.#open) socket.resume(); }
    if (mode === "hang") { for (const socket of this.#open) socket.pause(); }
  }

  #serve(client: Socket): void {
    const server = dial(this.#target, "127.0.0.1");
    this.#join(client, server, (chunk) => {
      if (this.#mode === "error") {
        client.end("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops");
        server.destroy();
        return false;
      }
      if (this.#mode === "reset") {
        server.write(chunk.subarray(0, chunk.length / 2), () => {
          server.destroy();
          client.resetAndDestroy();
        });
        return false;
      }
      return true;
    });
    this.#join(server, client, () => {
      if (this.#mode !== "swallow") return true;
      client.resetAndDestroy();
      return false;
    });
  }

  #join(from: Socket, to: Socket, admit: (chunk: Buffer) => boolean): void {
    this.#open.add(from);
    from.on("data", (chunk) => {
      if (!admit(chunk) || to.destroyed) return;
      if (!to.write(chunk)) {
        from.pause();
        to.once("drain", () => this.#mode !== "hang" && from.resume());
      }
    });
    from.on("error", () => {});
    from.on("close", () => {
      this.#open.delete(from);
      to.destroy();
    });
    if (this.#mode === "hang") from.pause();
  }
}

/** Runs with a line to the server that the URL names. */
export async function withLine(target: string, use: (line: Line) => Promise<void>): Promise<void> {
  const line = new Line(Number(new URL(target).port));
  await line.listen();
  try {
    await use(line);
  } finally {
    await line.refuse();
  }
}
