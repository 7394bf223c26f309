// Verifying, and signing, with the reference library of Standard Webhooks.
import { Webhook } from "standardwebhooks";

export const sign = (key, rawBody, id, seconds) => ({
  "webhook-id": id,
  "webhook-timestamp": String(seconds),
  "webhook-signature": new Webhook(key).sign(id, new Date(seconds * 1000), rawBody.toString("utf8")),
});

export const verify = (key, headers, rawBody) => {
  new Webhook(key).verify(rawBody.toString("utf8"), headers);
};
