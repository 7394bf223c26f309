// The libraries that senders and receivers use in JavaScript: one line of JSON in, one line of JSON out.
//
// In: {"client", "action": "sign" or "verify", "key", "body" (base64), "id", "seconds", "headers"}. Out: {"headers"}, or
// {"problem"}, which is empty if it verified. It ends when its input ends, so it never outlives the test that started it.
import { createInterface } from "node:readline";
import { sign as signGithub, verify as verifyGithub } from "@octokit/webhooks-methods";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

const of = (Webhook, family) => ({
  sign: (key, body, id, seconds) => ({
    [`${family}-id`]: id,
    [`${family}-timestamp`]: String(seconds),
    [`${family}-signature`]: new Webhook(key).sign(id, new Date(seconds * 1000), body),
  }),
  verify: (key, body, headers) => {
    new Webhook(key).verify(body, headers);
  },
});

const clients = {
  standardwebhooks: of(Standard, "webhook"),
  svix: of(Svix, "svix"),
  "@octokit/webhooks-methods": {
    sign: async (key, body) => ({ "x-hub-signature-256": await signGithub(key, body) }),
    verify: async (key, body, headers) => {
      if (!(await verifyGithub(key, body, headers["x-hub-signature-256"]))) {
        throw new Error("the signature does not match");
      }
    },
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { client, action, key, body, id, seconds, headers } = JSON.parse(line);
  const text = Buffer.from(body, "base64").toString("utf8");
  let answer;
  if (action === "sign") {
    answer = { headers: await clients[client].sign(key, text, id, seconds) };
  } else {
    try {
      await clients[client].verify(key, text, headers);
      answer = { problem: "" };
    } catch (error) {
      answer = { problem: `${error.name}: ${error.message}` };
    }
  }
  console.log(JSON.stringify(answer));
}
