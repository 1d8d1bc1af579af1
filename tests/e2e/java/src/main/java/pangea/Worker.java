package pangea;

import static pangea.Clients.say;

import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.StreamsSchedulerFactory;
import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.polling.DynamoDBStreamsPollingConfig;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;

/**
 * A worker of the Kinesis Client Library on a stream of DynamoDB, by the streams adapter.
 *
 * <p>{@code Worker ENDPOINT REGION STREAM_ARN APPLICATION NAME}. It tells what it is given, and
 * ends as an application should when its input does.
 */
public final class Worker {
    /** What a lease is good for: long for a busy machine, and a test waits for it once. */
    private static final long FAILOVER_MS = 2000;

    private Worker() {}

    /** One lease of one shard; a line for each thing that the library says about it. */
    private static final class Processor implements DynamoDBStreamsShardRecordProcessor {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
            say("began", shard);
        }

        @Override
        public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
            for (DynamoDBStreamsClientRecord one : input.records()) {
                Record record = one.getRecord();
                var image = record.dynamodb().newImage();
                say("record", shard, record.dynamodb().sequenceNumber(), record.eventName(),
                        record.dynamodb().keys().get("pk").s(), image.get("v").s());
            }
            if (!input.records().isEmpty()) {
                checkpoint(input.checkpointer());
            }
        }

        @Override
        public void leaseLost(LeaseLostInput input) {
            say("lost", shard);
        }

        @Override
        public void shardEnded(ShardEndedInput input) {
            checkpoint(input.checkpointer());
            say("ended", shard);
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(input.checkpointer());
            say("stopped", shard);
        }

        private void checkpoint(RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (Exception error) {
                // The lease went to another worker meanwhile, which begins at the last checkpoint.
                say("unchecked", shard, error);
            }
        }
    }

    private static Scheduler scheduler(
            Clients clients, String arn, String application, String name) {
        var dynamodb = clients.build(DynamoDbAsyncClient.builder());
        var streams = new AmazonDynamoDBStreamsAdapterClient(
                clients.build(DynamoDbStreamsClient.builder()), clients.region());
        var start = InitialPositionInStreamExtended.newInitialPosition(
                InitialPositionInStream.TRIM_HORIZON);
        // No metrics are sent, but the library wants a client.
        var configs = new ConfigsBuilder(
                StreamsSchedulerFactory.createSingleStreamTracker(arn, start), application, streams,
                dynamodb, clients.build(CloudWatchAsyncClient.builder()), name, Processor::new);
        // The rest is as the library has it, but for waits of half a minute and more.
        var leases = configs.leaseManagementConfig()
                .failoverTimeMillis(FAILOVER_MS)
                .shardSyncIntervalMillis(0)
                .leaseTablePitrEnabled(true);
        leases.workerUtilizationAwareAssignmentConfig()
                .disableWorkerMetrics(true)
                .inMemoryWorkerMetricsCaptureFrequencyMillis(500)
                .workerMetricsReporterFreqInMillis(500);
        var polling = new DynamoDBStreamsPollingConfig(arn, streams)
                .idleTimeBetweenReadsInMillis(200);
        return StreamsSchedulerFactory.createScheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(200)
                        .shardConsumerDispatchPollIntervalMillis(200),
                leases,
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(polling),
                streams);
    }

    public static void main(String[] arguments) throws Exception {
        var clients = new Clients(arguments[0], arguments[1]);
        var scheduler = scheduler(clients, arguments[2], arguments[3], arguments[4]);
        var thread = new Thread(scheduler, arguments[4]);
        thread.start();
        while (System.in.read() >= 0) {
            // Until the test closes it.
        }
        try {
            say("over", scheduler.startGracefulShutdown().get(20, TimeUnit.SECONDS));
        } catch (TimeoutException late) {
            // A lease that came or went just then: what was not handed over is read again.
            say("over", late);
            scheduler.shutdown();
        }
        // The last that it does is to give up the lead, for which others would wait two minutes.
        thread.join(60_000);
        System.exit(0);
    }
}
