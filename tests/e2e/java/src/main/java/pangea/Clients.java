package pangea;

import java.net.URI;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.regions.Region;

/** What all clients here have in common: where they send, and that they tell what they sent. */
final class Clients implements ExecutionInterceptor {
    private static final Set<String> TOLD = ConcurrentHashMap.newKeySet();

    private final URI endpoint;
    private final Region region;

    Clients(String endpoint, String region) {
        this.endpoint = URI.create(endpoint);
        this.region = Region.of(region);
    }

    Region region() {
        return region;
    }

    <B extends AwsClientBuilder<B, C>, C> C build(B builder) {
        return builder
                .endpointOverride(endpoint)
                .region(region)
                .credentialsProvider(StaticCredentialsProvider.create(
                        AwsBasicCredentials.create("pangea", "pangea")))
                .overrideConfiguration(options -> options.addExecutionInterceptor(this))
                .build();
    }

    /** Each operation once: for the page that lists what was used. */
    @Override
    public void beforeExecution(Context.BeforeExecution context, ExecutionAttributes attributes) {
        String service = attributes.getAttribute(SdkExecutionAttribute.SERVICE_NAME);
        String operation = attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME);
        if (TOLD.add(service + operation)) {
            say("used", service.replace(' ', '-'), operation);
        }
    }

    /** A line for the test that started this program. */
    static synchronized void say(Object... words) {
        StringBuilder line = new StringBuilder();
        for (Object word : words) {
            line.append(line.length() > 0 ? " " : "").append(word);
        }
        System.out.println(line);
        System.out.flush();
    }
}
