// Dynamoose: models that make their tables and change them, queries, batches, transactions.
//
//   node dynamoose.js ENDPOINT REGION TABLE
import dynamoose from "dynamoose";
import { options, refused, same, tour, watched } from "./clients.js";

const [endpoint, region, table] = process.argv.slice(2);
const client = watched(new dynamoose.aws.ddb.DynamoDB(options(endpoint, region)));
dynamoose.aws.ddb.set(client);

const shape = (more = {}) => new dynamoose.Schema({
  id: { type: String, hashKey: true },
  at: { type: Number, rangeKey: true },
  owner: { type: String, index: { name: "by-owner", type: "global", rangeKey: "at" } },
  name: { type: String, required: true, index: { name: "by-name", type: "local" } },
  tags: { type: Set, schema: [String] },
  parts: { type: Array, schema: [{ type: Object, schema: { size: Number } }] },
  bytes: Buffer,
  open: { type: Boolean, default: true },
  day: Date,
  ...more,
}, { saveUnknown: ["extra.**"], timestamps: true });

const settings = {
  create: true, initialize: false, waitForActive: { enabled: true, check: { frequency: 100, timeout: 60000 } },
};
// What the first step makes, and the second makes anew.
let Thing;

async function table_is_made() {
  Thing = dynamoose.model(table, shape());
  const made = new dynamoose.Table(table, [Thing], {
    ...settings, throughput: { read: 2, write: 3 }, expires: { ttl: 3600, attribute: "expires" },
    tags: { team: "one" }, streamOptions: { enabled: true, type: "NEW_IMAGE" },
  });
  await made.initialize();
  const { Table: described } = await client.describeTable({ TableName: table });
  same([3, "by-owner", "by-name", "NEW_IMAGE"], [
    described.ProvisionedThroughput.WriteCapacityUnits, described.GlobalSecondaryIndexes[0].IndexName,
    described.LocalSecondaryIndexes[0].IndexName, described.StreamSpecification.StreamViewType,
  ]);
  const { TimeToLiveDescription: ttl } = await client.describeTimeToLive({ TableName: table });
  same("expires", ttl.AttributeName);
}

async function table_is_changed() {
  const change = async () => {
    Thing = dynamoose.model(table, shape({ kind: { type: String, index: { name: "by-kind" } } }));
    await new dynamoose.Table(table, [Thing], {
      ...settings, update: true, throughput: "ON_DEMAND",
      expires: { ttl: 3600, attribute: "expires" }, tags: { team: "two", stage: "test" },
      tableClass: "infrequentAccess", streamOptions: { enabled: false },
    }).initialize();
  };
  await change();
  const { Table: described } = await client.describeTable({ TableName: table });
  same(["PAY_PER_REQUEST", ["by-kind", "by-owner"], "STANDARD_INFREQUENT_ACCESS", undefined], [
    described.BillingModeSummary.BillingMode,
    described.GlobalSecondaryIndexes.map(({ IndexName }) => IndexName).sort(),
    described.TableClassSummary.TableClass, described.StreamSpecification,
  ]);
  const { Tags } = await client.listTagsOfResource({ ResourceArn: described.TableArn });
  same({ team: "two", stage: "test" }, Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])));
  // Once more there is nothing to do, which it finds out by comparing.
  const before = asked.UpdateTable;
  await change();
  same(before, asked.UpdateTable);
}

const asked = {};
client.middlewareStack.add((next, context) => (request) => {
  const name = context.commandName.replace("Command", "");
  asked[name] = (asked[name] ?? 0) + 1;
  return next(request);
}, { step: "initialize", name: "count" });

async function items() {
  const full = {
    id: "a", at: 1, owner: "ann", name: "first", tags: new Set(["x", "y"]), parts: [{ size: 1.5 }],
    bytes: Buffer.from([0, 255]), day: new Date(1700000000000), kind: "k", extra: { deep: [1, "z"] },
  };
  await Thing.create(full);
  const again = await refused("ConditionalCheckFailedException", () => Thing.create(full));
  same(400, again.$metadata.httpStatusCode);
  const got = await Thing.get({ id: "a", at: 1 }, { consistent: true });
  same([true, full.tags, 1.5, full.day, full.extra],
    [got.open, got.tags, got.parts[0].size, got.day, { deep: got.extra.deep }]);
  same([0, 255], [...got.bytes]);
  same(true, got.createdAt instanceof Date);
  same(undefined, await Thing.get({ id: "none", at: 1 }));
  const changed = await Thing.update({ id: "a", at: 1 },
    { $SET: { name: "second" }, $ADD: { tags: ["z"] }, $REMOVE: ["day"] },
    { condition: new dynamoose.Condition().filter("owner").eq("ann") });
  same(["second", 3, undefined], [changed.name, changed.tags.size, changed.day]);
  await refused("ConditionalCheckFailedException", () => Thing.update({ id: "a", at: 1 },
    { name: "third" }, { condition: new dynamoose.Condition().filter("owner").eq("bob") }));
  got.name = "saved";
  await got.save();
  await got.delete();
  same(undefined, await Thing.get({ id: "a", at: 1 }));
}

const numbered = (at) => (
  { id: "p", at, owner: at % 2 ? "ann" : "bob", name: `n${9 - (at % 10)}`, kind: `k${at % 3}` });

async function queries() {
  const many = Array.from({ length: 24 }, (_, at) => numbered(at));
  same([], (await Thing.batchPut(many)).unprocessedItems);
  same(24, (await Thing.batchGet(many.map(({ id, at }) => ({ id, at })))).length);
  const first = await Thing.query("id").eq("p").limit(10).exec();
  const rest = await Thing.query("id").eq("p").startAt(first.lastKey).all().exec();
  same([10, 14, undefined], [first.length, rest.length, rest.lastKey]);
  const named = async (query) => (await query.exec()).map(({ at }) => at);
  same([23, 21, 19], await named(Thing.query("owner").eq("ann").where("at").ge(19).sort("descending")));
  same([1, 4, 7], await named(Thing.query("kind").eq("k1").filter("at").le(8).sort("ascending")
    .using("by-kind")).then((found) => found.sort((a, b) => a - b)));
  same([9, 19], await named(Thing.query("id").eq("p").where("name").eq("n0").using("by-name")));
  same(8, (await Thing.query("id").eq("p").filter("owner").beginsWith("a")
    .filter("kind").in(["k0", "k1"]).count().exec()).count);
  same(4, (await Thing.scan("name").eq("n1").or().where("name").eq("n2").count().exec()).count);
  same(24, (await Thing.scan().parallel(2).all().exec()).length);
  same(12, (await Thing.scan("owner").not().eq("bob").count().exec()).count);
  await Thing.batchDelete([{ id: "p", at: 0 }, { id: "p", at: 1 }]);
  same(22, (await Thing.scan("id").exists().count().exec()).count);
}

async function transactions() {
  await dynamoose.transaction([
    Thing.transaction.create({ id: "t", at: 1, owner: "ann", name: "one" }),
    Thing.transaction.update({ id: "p", at: 2 }, { $SET: { name: "two" } }),
    Thing.transaction.delete({ id: "p", at: 3 }),
    Thing.transaction.condition({ id: "p", at: 4 }, new dynamoose.Condition("owner").eq("bob")),
  ]);
  const got = await dynamoose.transaction(
    [Thing.transaction.get({ id: "t", at: 1 }), Thing.transaction.get({ id: "p", at: 2 })]);
  same(["one", "two"], got.map(({ name }) => name));
  const cancelled = await refused("TransactionCanceledException", () => dynamoose.transaction([
    Thing.transaction.create({ id: "t", at: 1, owner: "ann", name: "one" }),
    Thing.transaction.delete({ id: "p", at: 4 }),
  ]));
  same(["ConditionalCheckFailed", "None"], cancelled.CancellationReasons.map(({ Code }) => Code));
}

await tour({ table_is_made, table_is_changed, items, queries, transactions });
