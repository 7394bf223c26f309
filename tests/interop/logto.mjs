// Verifying as Logto's documentation tells its readers to ("Secure your webhooks"): the hex HMAC-SHA256 of the raw body,
// compared with the header logto-signature-sha-256. And signing as Logto does.
import { createHmac } from "node:crypto";

export const sign = (key, rawBody) => ({
  "logto-signature-sha-256": createHmac("sha256", key).update(rawBody).digest("hex"),
});

export const verify = (key, headers, rawBody) => {
  const expected = createHmac("sha256", key).update(rawBody).digest("hex");
  if (expected !== headers["logto-signature-sha-256"]) {
    throw new Error("the signature does not match");
  }
};
