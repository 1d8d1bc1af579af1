package pangea;

import static pangea.Clients.say;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import com.amazonaws.services.dynamodbv2.AcquireLockOptions;
import com.amazonaws.services.dynamodbv2.AmazonDynamoDBLockClient;
import com.amazonaws.services.dynamodbv2.AmazonDynamoDBLockClientOptions;
import com.amazonaws.services.dynamodbv2.CreateDynamoDBTableOptions;
import com.amazonaws.services.dynamodbv2.model.LockCurrentlyUnavailableException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.enhanced.dynamodb.DynamoDbEnhancedClient;
import software.amazon.awssdk.enhanced.dynamodb.DynamoDbTable;
import software.amazon.awssdk.enhanced.dynamodb.Expression;
import software.amazon.awssdk.enhanced.dynamodb.Key;
import software.amazon.awssdk.enhanced.dynamodb.TableSchema;
import software.amazon.awssdk.enhanced.dynamodb.model.DeleteItemEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.QueryConditional;
import software.amazon.awssdk.enhanced.dynamodb.model.TransactGetItemsEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.TransactWriteItemsEnhancedRequest;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeDefinition;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.CancellationReason;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.CreateTableRequest;
import software.amazon.awssdk.services.dynamodb.model.KeySchemaElement;
import software.amazon.awssdk.services.dynamodb.model.KeysAndAttributes;
import software.amazon.awssdk.services.dynamodb.model.ProvisionedThroughput;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.TransactGetItem;
import software.amazon.awssdk.services.dynamodb.model.TransactWriteItem;
import software.amazon.awssdk.services.dynamodb.model.TransactionCanceledException;
import software.amazon.awssdk.services.dynamodb.model.WriteRequest;

/**
 * The SDK for Java, synchronous, asynchronous and enhanced, and the lock client.
 *
 * <p>{@code Tour ENDPOINT REGION TABLE_PREFIX}. A line `passed NAME` or `failed NAME why` for each
 * step.
 */
public final class Tour {
    private Tour() {}

    private interface Step {
        void run() throws Exception;
    }

    private static void step(String name, Step step) {
        try {
            step.run();
            say("passed", name);
        } catch (Throwable error) {
            say("failed", name, error, error.getStackTrace()[0]);
        }
    }

    private static void same(Object wanted, Object got) {
        if (!Objects.equals(wanted, got)) {
            throw new AssertionError("wanted " + wanted + ", got " + got);
        }
    }

    private static <E extends Throwable> E refused(Class<E> kind, Step step) {
        try {
            step.run();
        } catch (Throwable thrown) {
            Throwable error = thrown instanceof CompletionException ? thrown.getCause() : thrown;
            if (kind.isInstance(error)) {
                return kind.cast(error);
            }
            throw new AssertionError("wanted " + kind + ", got " + error);
        }
        throw new AssertionError("wanted " + kind + ", got an answer");
    }

    private static AttributeValue s(String text) {
        return AttributeValue.fromS(text);
    }

    private static AttributeValue n(long number) {
        return AttributeValue.fromN(Long.toString(number));
    }

    private static Map<String, AttributeValue> key(String pk, long sk) {
        return Map.of("pk", s(pk), "sk", n(sk));
    }

    private static Consumer<CreateTableRequest.Builder> table(String name) {
        return request -> request.tableName(name).billingMode(BillingMode.PAY_PER_REQUEST)
                .attributeDefinitions(defined("pk", "S"), defined("sk", "N"), defined("g", "S"))
                .keySchema(keyed("pk", "HASH"), keyed("sk", "RANGE"))
                .globalSecondaryIndexes(index -> index.indexName("by-g")
                        .keySchema(keyed("g", "HASH"))
                        .projection(projection -> projection.projectionType("ALL")));
    }

    private static AttributeDefinition defined(String name, String type) {
        return AttributeDefinition.builder().attributeName(name).attributeType(type).build();
    }

    private static KeySchemaElement keyed(String name, String type) {
        return KeySchemaElement.builder().attributeName(name).keyType(type).build();
    }

    // --- the plain clients -----------------------------------------------------------------------

    private static void items(DynamoDbClient client, String name) {
        client.createTable(table(name));
        client.waiter().waitUntilTableExists(request -> request.tableName(name));
        for (int i = 0; i < 30; i++) {
            var item = Map.of("pk", s("p"), "sk", n(i), "g", s("g" + i % 3),
                    "bytes", AttributeValue.fromB(SdkBytes.fromByteArray(new byte[] {0, (byte) i})),
                    "deep", AttributeValue.fromM(Map.of("list", AttributeValue.fromL(
                            List.of(n(i), AttributeValue.fromNul(true), s(""))))));
            client.putItem(request -> request.tableName(name).item(item));
        }
        var all = client.queryPaginator(request -> request.tableName(name).limit(7)
                .keyConditionExpression("pk = :p")
                .expressionAttributeValues(Map.of(":p", s("p")))).items().stream().toList();
        same(IntStream.range(0, 30).mapToObj(Tour::n).toList(),
                all.stream().map(item -> item.get("sk")).toList());
        same(30L, client.scanPaginator(request -> request.tableName(name).limit(4))
                .items().stream().count());
        same(10L, client.queryPaginator(request -> request.tableName(name).indexName("by-g")
                .limit(3).keyConditionExpression("g = :g")
                .expressionAttributeValues(Map.of(":g", s("g1")))).items().stream().count());
        var updated = client.updateItem(request -> request.tableName(name).key(key("p", 3))
                .updateExpression("SET c = if_not_exists(c, :zero) + :one ADD t :t")
                .expressionAttributeValues(Map.of(":zero", n(0), ":one", n(1),
                        ":t", AttributeValue.fromNs(List.of("1", "2.5"))))
                .returnValues("UPDATED_NEW")).attributes();
        same(n(1), updated.get("c"));
        same(Set.of("1", "2.5"), Set.copyOf(updated.get("t").ns()));
        var error = refused(ConditionalCheckFailedException.class, () -> client.deleteItem(
                request -> request.tableName(name).key(key("p", 3)).conditionExpression("c = :nine")
                        .expressionAttributeValues(Map.of(":nine", n(9)))
                        .returnValuesOnConditionCheckFailure("ALL_OLD")));
        same(n(1), error.item().get("c"));
        same(400, error.statusCode());
        same(false, client.getItem(request -> request.tableName(name).key(key("no", 1))).hasItem());
    }

    private static void many(DynamoDbClient client, String name) {
        var writes = IntStream.range(0, 25).mapToObj(i -> WriteRequest.builder()
                .putRequest(put -> put.item(key("batch", i))).build()).toList();
        var written = client.batchWriteItem(request -> request.requestItems(Map.of(name, writes)));
        same(Map.of(), written.unprocessedItems());
        var keys = IntStream.range(0, 25).mapToObj(i -> key("batch", i)).toList();
        var wanted = KeysAndAttributes.builder().keys(keys).build();
        same(25, client.batchGetItem(request -> request.requestItems(Map.of(name, wanted)))
                .responses().get(name).size());
        client.transactWriteItems(request -> request.transactItems(
                TransactWriteItem.builder()
                        .put(put -> put.tableName(name).item(key("together", 1))).build(),
                TransactWriteItem.builder()
                        .delete(gone -> gone.tableName(name).key(key("batch", 1))).build()));
        var got = client.transactGetItems(request -> request.transactItems(
                read(name, "together"), read(name, "batch"))).responses();
        same(List.of(true, false), got.stream().map(one -> one.hasItem()).toList());
        var error = refused(TransactionCanceledException.class, () -> client.transactWriteItems(
                request -> request.transactItems(
                        TransactWriteItem.builder().conditionCheck(check -> check.tableName(name)
                                .key(key("together", 1))
                                .conditionExpression("attribute_not_exists(pk)")).build(),
                        TransactWriteItem.builder()
                                .put(put -> put.tableName(name).item(key("batch", 1))).build())));
        same(List.of("ConditionalCheckFailed", "None"),
                error.cancellationReasons().stream().map(CancellationReason::code).toList());
        same(1, client.executeStatement(request -> request
                .statement("SELECT * FROM \"" + name + "\" WHERE pk = ? AND sk = ?")
                .parameters(s("p"), n(4))).items().size());
    }

    private static TransactGetItem read(String name, String pk) {
        return TransactGetItem.builder().get(get -> get.tableName(name).key(key(pk, 1))).build();
    }

    private static void concurrently(DynamoDbAsyncClient client, String name) throws Exception {
        client.createTable(table(name)).join();
        client.waiter().waitUntilTableExists(request -> request.tableName(name)).join();
        // No more at once than the client has connections.
        for (int batch = 0; batch < 10; batch++) {
            List<CompletableFuture<?>> puts = new ArrayList<>();
            for (int i = batch * 40; i < batch * 40 + 40; i++) {
                var item = Map.of("pk", s("p" + i), "sk", n(i), "v", s("x".repeat(i * 10)));
                puts.add(client.putItem(request -> request.tableName(name).item(item)));
            }
            CompletableFuture.allOf(puts.toArray(CompletableFuture[]::new)).join();
        }
        Set<String> seen = ConcurrentHashMap.newKeySet();
        client.scanPaginator(request -> request.tableName(name).limit(33)).items()
                .subscribe(item -> seen.add(item.get("pk").s())).get(60, TimeUnit.SECONDS);
        same(400, seen.size());
        client.deleteTable(request -> request.tableName(name)).join();
        client.waiter().waitUntilTableNotExists(request -> request.tableName(name)).join();
        refused(ResourceNotFoundException.class, () -> client.getItem(
                request -> request.tableName(name).key(key("p1", 1))).join());
    }

    // --- the enhanced client ---------------------------------------------------------------------

    private static void beans(DynamoDbClient client, String name) {
        var enhanced = DynamoDbEnhancedClient.builder().dynamoDbClient(client).build();
        DynamoDbTable<Thing> things = enhanced.table(name, TableSchema.fromBean(Thing.class));
        things.createTable(request -> request.globalSecondaryIndices(index -> index
                .indexName("by-group").projection(projection -> projection.projectionType("ALL"))));
        client.waiter().waitUntilTableExists(request -> request.tableName(name));

        things.putItem(Thing.of("a", 1, "old"));
        Thing first = things.getItem(key("a"));
        same(List.of(1L, 10L, Set.of("x", "y")),
                List.of(first.getVersion(), first.getCounter(), first.getTags()));
        first.setOnce("first");
        Thing second = things.updateItem(first);
        same(List.of(2L, 11L, "first"),
                List.of(second.getVersion(), second.getCounter(), second.getOnce()));
        // The version was read before the last update, so that both ways of writing are refused.
        refused(ConditionalCheckFailedException.class, () -> things.updateItem(first));
        refused(ConditionalCheckFailedException.class, () -> things.putItem(first));
        second.setOnce("second");
        second.setTags(null);
        Thing third = things.updateItem(second);
        same("first", third.getOnce());
        same(null, third.getTags());

        for (int i = 0; i < 30; i++) {
            things.putItem(Thing.of("many", i, i % 2 == 0 ? "even" : "odd"));
        }
        var many = QueryConditional.keyEqualTo(key -> key.partitionValue("many"));
        same(List.of(12, 12, 6), things.query(request -> request.queryConditional(many).limit(12))
                .stream().map(page -> page.items().size()).toList());
        same(29, things.query(request -> request.queryConditional(many).scanIndexForward(false))
                .items().iterator().next().getSort());
        var odd = QueryConditional.keyEqualTo(key -> key.partitionValue("odd"));
        same(15L, things.index("by-group").query(request -> request.queryConditional(odd).limit(4))
                .stream().flatMap(page -> page.items().stream()).count());
        together(enhanced, things);
    }

    private static void together(DynamoDbEnhancedClient enhanced, DynamoDbTable<Thing> things) {
        enhanced.transactWriteItems(TransactWriteItemsEnhancedRequest.builder()
                .addPutItem(things, Thing.of("b", 1, "new"))
                .addPutItem(things, Thing.of("c", 1, "new")).build());
        var got = enhanced.transactGetItems(TransactGetItemsEnhancedRequest.builder()
                .addGetItem(things, key("b")).addGetItem(things, key("none")).build());
        same("b", got.get(0).getItem(things).getId());
        same(null, got.get(1).getItem(things));
        var newer = Expression.builder().expression("version > :one")
                .putExpressionValue(":one", n(1)).build();
        refused(ConditionalCheckFailedException.class, () -> things.deleteItem(
                DeleteItemEnhancedRequest.builder().key(key("b")).conditionExpression(newer)
                        .build()));
        same("c", things.deleteItem(key("c")).getId());
        same(null, things.deleteItem(key("c")));
    }

    private static Key key(String id) {
        return Key.builder().partitionValue(id).sortValue(1).build();
    }

    // --- the lock client -------------------------------------------------------------------------

    private static AmazonDynamoDBLockClient holder(DynamoDbClient client, String name, String who) {
        return new AmazonDynamoDBLockClient(AmazonDynamoDBLockClientOptions.builder(client, name)
                .withOwnerName(who).withTimeUnit(TimeUnit.MILLISECONDS).withLeaseDuration(3000L)
                .withHeartbeatPeriod(500L).withCreateHeartbeatBackgroundThread(true).build());
    }

    private static void locks(DynamoDbClient client, String name) throws Exception {
        AmazonDynamoDBLockClient.createLockTableInDynamoDB(CreateDynamoDBTableOptions.builder(
                client, ProvisionedThroughput.builder().readCapacityUnits(1L)
                        .writeCapacityUnits(1L).build(), name).build());
        client.waiter().waitUntilTableExists(request -> request.tableName(name));
        var once = AcquireLockOptions.builder("door").withShouldSkipBlockingWait(true).build();
        try (var one = holder(client, name, "one"); var other = holder(client, name, "other")) {
            var held = one.acquireLock(AcquireLockOptions.builder("door").build());
            refused(LockCurrentlyUnavailableException.class, () -> other.tryAcquireLock(once));
            same("one", other.getLock("door", Optional.empty()).get().getOwnerName());
            same(true, one.releaseLock(held));
            same("other", other.tryAcquireLock(once).get().getOwnerName());
        }
    }

    public static void main(String[] arguments) {
        var clients = new Clients(arguments[0], arguments[1]);
        String name = arguments[2];
        var client = clients.build(DynamoDbClient.builder());
        step("items", () -> items(client, name + "-items"));
        step("many", () -> many(client, name + "-items"));
        step("concurrently", () -> concurrently(
                clients.build(DynamoDbAsyncClient.builder()), name + "-async"));
        step("beans", () -> beans(client, name + "-beans"));
        step("locks", () -> locks(client, name + "-locks"));
        System.exit(0);
    }
}
