// Signs one body: `node sign.mjs SCHEME`, with {"key", "body", "id", "seconds"} as its input; prints the headers.
import { readFileSync } from "node:fs";

const { sign } = await import(`./${process.argv[2]}.mjs`);
const { key, body, id, seconds } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(sign(key, Buffer.from(body, "base64"), id, seconds)));
