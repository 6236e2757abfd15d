/** The configuration of a nats-server with one account, which everybody who connects is in, and its limits of JetStream. */
export function accountWith(limits: string): string {
  const account = `{ jetstream: { ${limits} }, users: [ { user: one, password: one } ] }`;
  return `accounts: { ONE: ${account} }\nno_auth_user: one`;
}
