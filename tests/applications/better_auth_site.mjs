// A site on better-auth, as its documentation sets one up: accounts with passwords, and passkeys, over its JSON API.
//
// Prints its port, and serves until its standard input ends.

import { passkey } from "@better-auth/passkey";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { createServer } from "node:http";

const origin = "https://login.example.com";
const tables = { account: [], passkey: [], session: [], user: [], verification: [] };
const auth = betterAuth({
    advanced: { useSecureCookies: false },
    baseURL: origin,
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    plugins: [passkey({ origin, rpID: "login.example.com", rpName: "example" })],
    rateLimit: { enabled: false },
    secret: "only for as long as a test runs, and no longer",
    trustedOrigins: [origin],
});

const server = createServer(toNodeHandler(auth));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
