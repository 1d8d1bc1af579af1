// DynamoDB-Toolbox: a table's entities with schemas, parsed on their way in and out.
//
//   node toolbox.js ENDPOINT REGION TABLE
import { DynamoDB } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocument } from "@aws-sdk/lib-dynamodb";
import {
  $add, $append, $get, $remove, BatchGetCommand, BatchPutRequest, BatchWriteCommand,
  BatchDeleteRequest, BatchGetRequest, ConditionCheck, DeleteItemCommand, DeleteTransaction, Entity,
  GetItemCommand, GetTransaction, PutItemCommand, PutTransaction, QueryCommand, ScanCommand, Table,
  UpdateItemCommand, UpdateTransaction, any, binary, boolean, executeBatchGet, executeBatchWrite,
  executeTransactGet, executeTransactWrite, item, list, map, number, record, set, string,
} from "dynamodb-toolbox";
import { made, options, refused, same, tour, watched } from "./clients.js";

const [endpoint, region, name] = process.argv.slice(2);
const plain = watched(new DynamoDB(options(endpoint, region)));
const documentClient = DynamoDBDocument.from(plain);

const table = new Table({
  name, documentClient,
  partitionKey: { name: "pk", type: "string" },
  sortKey: { name: "sk", type: "string" },
  indexes: {
    kind: {
      type: "global",
      partitionKey: { name: "kindpk", type: "string" }, sortKey: { name: "kindsk", type: "string" },
    },
    // Keys of several attributes.
    strength: {
      type: "global",
      partitionKeys: [{ name: "kindpk", type: "string" }, { name: "pk", type: "string" }],
      sortKeys: [{ name: "level", type: "number" }, { name: "sk", type: "string" }],
    },
  },
});

const Pokemon = new Entity({
  name: "pokemon", table,
  schema: item({
    trainer: string().key().savedAs("pk"),
    name: string().key().savedAs("sk"),
    kind: string().enum("fire", "water").savedAs("kindpk"),
    order: string().savedAs("kindsk").putDefault("none"),
    level: number().default(1),
    seen: number().big().optional(),
    shiny: boolean().optional(),
    bytes: binary().optional(),
    moves: set(string()).optional(),
    log: list(string()).optional(),
    stats: map({ attack: number(), speed: number().optional() }).optional(),
    places: record(string(), number()).optional(),
    more: any().optional(),
  }),
});

const key = (n) => ({ trainer: "ash", name: `n${String(n).padStart(2, "0")}` });
const one = (n) => ({ ...key(n), kind: n % 2 ? "fire" : "water", order: `o${n % 5}`, level: n });
const build = (command) => Pokemon.build(command);

async function items() {
  await made(plain, name, ["pk", "then", "sk"], {
    kind: ["kindpk", "then", "kindsk"], strength: ["kindpk", "pk", "then", "level", "sk"],
  }, ["level"]);
  const full = {
    ...one(1), seen: 9007199254740993n, shiny: false, bytes: new Uint8Array([0, 255]),
    moves: new Set(["cut"]), log: ["a"], stats: { attack: 1.5 }, places: { "a.b": 1 }, more: [null],
  };
  await build(PutItemCommand).item(full)
    .options({ condition: { attr: "trainer", exists: false } }).send();
  await refused("ConditionalCheckFailedException", () => build(PutItemCommand).item(full)
    .options({ condition: { attr: "trainer", exists: false } }).send());
  const { Item: got } = await build(GetItemCommand).key(key(1)).options({ consistent: true }).send();
  const { created, modified, entity, ...same_ } = got;
  same(full, same_);
  const { Attributes: changed } = await build(UpdateItemCommand).item({
    ...key(1), level: $add(4), log: $append(["b"]), moves: $add(new Set(["fly"])),
    stats: { speed: $get("level", 0) }, places: { "a.b": $remove(), c: 2 }, shiny: $remove(),
  }).options({
    returnValues: "ALL_NEW",
    condition: { and: [{ attr: "level", eq: 1 }, { attr: "moves", contains: "cut" },
      { attr: "log", size: "log", lte: 1 }] },
  }).send();
  same([5, ["a", "b"], new Set(["cut", "fly"]), { attack: 1.5, speed: 1 }, { c: 2 }, undefined], [
    changed.level, changed.log, changed.moves, changed.stats, changed.places, changed.shiny]);
  const { Item: part } = await build(GetItemCommand).key(key(1))
    .options({ attributes: ["stats.attack", "places['c']"] }).send();
  same([{ attack: 1.5 }, { c: 2 }], [part.stats, part.places]);
  const deleted = await build(DeleteItemCommand).key(key(1)).options({ returnValues: "ALL_OLD" }).send();
  same(5, deleted.Attributes.level);
  same(undefined, (await build(GetItemCommand).key(key(1)).send()).Item);
}

async function batches() {
  const puts = Array.from({ length: 24 }, (_, n) => build(BatchPutRequest).item(one(n)));
  await executeBatchWrite({ maxAttempts: 3 }, table.build(BatchWriteCommand).requests(...puts));
  const gets = [0, 1, 99].map((n) => build(BatchGetRequest).key(key(n)));
  const { Responses } = await executeBatchGet(table.build(BatchGetCommand).requests(...gets));
  same([0, 1, undefined], Responses[0].map((got) => got?.level));
  await executeBatchWrite(table.build(BatchWriteCommand).requests(
    build(BatchDeleteRequest).key(key(0)), build(BatchPutRequest).item(one(30))));
}

async function queries() {
  const query = (asked, more) => table.build(QueryCommand).query(asked).entities(Pokemon).options(more);
  const first = await query({ partition: "ash" }, { limit: 10 }).send();
  const rest = await query({ partition: "ash" }, {
    exclusiveStartKey: first.LastEvaluatedKey, maxPages: Infinity, limit: 5,
  }).send();
  same([10, 14], [first.Items.length, rest.Items.length]);
  const levels = ({ Items }) => Items.map(({ level }) => level);
  same([21, 11, 1], levels(await query(
    { index: "kind", partition: "fire", range: { eq: "o1" } }, { reverse: true }).send()));
  same([3, 5], levels(await query({ partition: "ash", range: { between: ["n02", "n06"] } },
    { filters: { pokemon: { and: [{ attr: "kind", eq: "fire" }, { attr: "level", in: [3, 5] }] } } })
    .send()));
  same([5, 7], levels(await query(
    { index: "strength", partition: ["fire", "ash"], range: [{ between: [4, 8] }] }, {}).send()));
  same([7], levels(await query(
    { index: "strength", partition: ["fire", "ash"], range: [7, { beginsWith: "n0" }] }, {}).send()));
  const { Count } = await table.build(ScanCommand).options({ select: "COUNT", maxPages: Infinity }).send();
  same(24, Count);
}

async function transactions() {
  await executeTransactWrite(
    build(PutTransaction).item(one(40)),
    build(UpdateTransaction).item({ ...key(2), level: $add(10) }),
    build(DeleteTransaction).key(key(3)),
    build(ConditionCheck).key(key(4)).condition({ attr: "level", gt: 3 }),
  );
  const { Responses } = await executeTransactGet(
    ...[40, 2, 3].map((n) => build(GetTransaction).key(key(n))));
  same([40, 12, undefined], Responses.map(({ Item }) => Item?.level));
  const cancelled = await refused("TransactionCanceledException", () => executeTransactWrite(
    build(PutTransaction).item(one(41)),
    build(ConditionCheck).key(key(4)).condition({ attr: "level", gt: 4 }),
  ));
  same(["None", "ConditionalCheckFailed"], cancelled.CancellationReasons.map(({ Code }) => Code));
}

await tour({ items, batches, queries, transactions });
