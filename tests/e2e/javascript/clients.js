// What all programs here have in common: where they send, what they check of each answer, and that
// they tell what they sent and which steps passed.
import { deepStrictEqual } from "node:assert";
import { crc32 } from "node:zlib";
import { waitUntilTableExists } from "@aws-sdk/client-dynamodb";

const told = new Set();

/** What a client is made with; `more` is what it has of its own. */
export function options(endpoint, region, more = {}) {
  const credentials = { accessKeyId: "pangea", secretAccessKey: "pangea" };
  return { endpoint, region, credentials, ...more };
}

/** Lets a client tell each operation once, and hold the checksum of each answer against its bytes. */
export function watched(client) {
  client.middlewareStack.add(tell, { name: "tell", step: "initialize" });
  client.middlewareStack.addRelativeTo(check, {
    name: "check", relation: "after", toMiddleware: "deserializerMiddleware",
  });
  return client;
}

const tell = (next, context) => (request) => {
  const service = context.clientName.replace("Client", "").replace(/(?<=DB)Streams/, "-Streams");
  const line = `used ${service} ${context.commandName.replace(/Command$/, "")}`;
  if (!told.has(line)) {
    told.add(line);
    console.log(line);
  }
  return next(request);
};

const check = (next, context) => async (request) => {
  const answer = await next(request);
  const pieces = [];
  for await (const piece of answer.response.body) {
    pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  same(String(crc32(bytes)), answer.response.headers["x-amz-crc32"]);
  answer.response.body = new Uint8Array(bytes);
  return answer;
};

/** Runs steps one after the other; a line for each. */
export async function tour(steps) {
  for (const [name, run] of Object.entries(steps)) {
    try {
      await run();
      console.log(`passed ${name}`);
    } catch (error) {
      console.log(`failed ${name} ${String(error.message).replaceAll("\n", " ")}`);
      console.error(error);
    }
  }
}

export function same(wanted, got) {
  deepStrictEqual(got, wanted);
}

/** The error of this name that `work` must end with. */
export async function refused(name, work) {
  try {
    await work();
  } catch (error) {
    if (error.name === name) {
      return error;
    }
    throw error;
  }
  throw new Error(`nothing was refused with ${name}`);
}

/** Calls `ready` until it says yes: for what another region or a later moment brings. */
export async function until(what, ready, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; !(await ready()); ) {
    if (Date.now() > end) {
      throw new Error(`waited ${seconds} s in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All elements of an asynchronous sequence. */
export async function all(sequence) {
  const found = [];
  for await (const one of sequence) {
    found.push(one);
  }
  return found;
}

/**
 * Makes a table. Of each key the names before and those after "then": `own` of the table, `indexes`
 * of its global indexes. What is not in `numbers` is a string.
 */
export async function made(client, TableName, own, indexes, numbers = []) {
  const schema = (names) => names.flatMap((AttributeName, n) => AttributeName === "then" ? [] : [
    { AttributeName, KeyType: n > names.indexOf("then") ? "RANGE" : "HASH" },
  ]);
  const names = new Set([own, ...Object.values(indexes)].flat().filter((name) => name !== "then"));
  await client.createTable({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [...names].map((AttributeName) => (
      { AttributeName, AttributeType: numbers.includes(AttributeName) ? "N" : "S" })),
    KeySchema: schema(own),
    GlobalSecondaryIndexes: Object.entries(indexes).map(([IndexName, key]) => (
      { IndexName, KeySchema: schema(key), Projection: { ProjectionType: "ALL" } })),
  });
  await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { TableName });
}
