/** Passwords and tokens, kept out of whatever is shown or logged. */

/**
 * A URL, or several separated by commas, as it may be shown: without user, password and parameters. What cannot be
 * read as a URL is not shown at all, for nobody knows where in it a password is.
 */
export function maskUrl(value: string): string {
  if (value.startsWith("chdb:")) return value;
  return value.split(",").map((one) => {
    const url = URL.canParse(one) ? new URL(one) : undefined;
    if (url === undefined || url.host === "" || url.pathname.includes("@")) return "***";
    const user = url.username !== "" || url.password !== "" ? "***@" : "";
    const path = url.pathname === "/" ? "" : url.pathname;
    return `${url.protocol}//${user}${url.host}${path}${url.search === "" ? "" : "?***"}`;
  }).join(",");
}

/** Names of fields whose values are never written. `NATS_CREDS` is the path of a file, which helps and tells nothing. */
const SECRET = /password|passwd|secret|token|authorization|jwt|nkey|api_?key|^(creds|seed)$/i;

/** The fields with secrets masked: by their names, and in texts the credentials and parameters of URLs. */
export function maskFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, maskValue(name, value)]));
}

function maskValue(name: string, value: unknown): unknown {
  if (SECRET.test(name)) return "***";
  if (typeof value === "string") return maskText(value);
  if (Array.isArray(value)) return value.map((one) => maskValue("", one));
  if (typeof value === "object" && value !== null) return maskFields(value as Record<string, unknown>);
  return value;
}

/** A text with the credentials and secret parameters of URLs masked. */
export function maskText(text: string): string {
  return text
    .replace(/:\/\/[^/\s]*@/g, "://***@")
    .replace(/([?&](?:password|token|user|key|jwt)=)[^&\s"]*/gi, "$1***");
}
