// A webhook receiver on a free loopback port, whose way to verify is its argument: `node receiver.mjs logto`.
//
// It prints {"port"} once it listens, and one line of JSON for each request. It takes its signing key from its first line
// of input, and ends when its input ends, so it never outlives the test that started it.
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const { verify } = await import(`./${process.argv[2]}.mjs`);
let key = "";

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const rawBody = Buffer.concat(chunks);
    let problem = "";
    try {
      verify(key, request.headers, rawBody);
    } catch (error) {
      problem = `${error.name}: ${error.message}`;
    }
    const { method, url, headers } = request;
    const json = problem ? null : JSON.stringify(JSON.parse(rawBody.toString("utf8")));
    response.writeHead(problem ? 401 : 204).end();
    console.log(JSON.stringify({ method, url, headers, problem, json, body: rawBody.toString("base64") }));
  });
});

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  key = line;
  server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
});
input.on("close", () => process.exit(0));
